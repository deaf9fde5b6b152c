import { Reflector } from '@nestjs/core';
import type { RateLimitSettings } from '../core/tenant-rate-limits.js';

/** Sets the rate limits of a controller or a route; of the settings of both, the route's win one by one. */
export const RateLimit = Reflector.createDecorator<RateLimitSettings>();
