import { Reflector } from '@nestjs/core';

/** `@Unmeasured(true)` on a handler or controller keeps its requests out of every request metric and figure. */
export const Unmeasured = Reflector.createDecorator<boolean>();
