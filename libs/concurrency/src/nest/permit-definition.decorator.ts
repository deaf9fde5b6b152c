import { Reflector } from '@nestjs/core';
import type { SemaphoreDefinition } from '../core/semaphore.js';

/** A semaphore whose number of permits is the plan's when none is given. */
export type PermitSettings = Omit<SemaphoreDefinition, 'permits'> & { readonly permits?: number };

/** Metadata of `@WithPermit`. */
export const PermitDefinition = Reflector.createDecorator<PermitSettings>();
