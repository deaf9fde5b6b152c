import { applyDecorators, UseInterceptors } from '@nestjs/common';
import { PermitInterceptor } from './permit.interceptor.js';
import { PermitDefinition, type PermitSettings } from './permit-definition.decorator.js';

/**
 * Runs a route, or every route of a controller, with a permit of the named semaphore.
 * The number of permits defaults to the `permits` of the tenant's plan.
 */
export function WithPermit(settings: PermitSettings): ClassDecorator & MethodDecorator {
  return applyDecorators(PermitDefinition(settings), UseInterceptors(PermitInterceptor));
}
