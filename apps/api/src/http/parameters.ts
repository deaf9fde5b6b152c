import { z } from 'zod';
import { ZodPipe } from './zod.pipe.js';

/** Checks a path parameter that is an id. */
export const uuidParam = new ZodPipe(z.uuid('must be a UUID'));
