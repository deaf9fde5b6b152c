import { applyDecorators, UseInterceptors } from '@nestjs/common';
import { PermitInterceptor } from './permit.interceptor.js';
import { tracked } from './permit-activity.js';
import { PermitDefinition, type PermitSettings } from './permit-definition.decorator.js';

/**
 * Runs a route, or every route of a controller or gateway, with a permit of the named semaphore.
 * The number of permits defaults to the `permits` of the tenant's plan.
 */
export function WithPermit(settings: PermitSettings): ClassDecorator & MethodDecorator {
  const permit = applyDecorators(PermitDefinition(settings), UseInterceptors(PermitInterceptor));
  return (target: object, property?: string | symbol, descriptor?: PropertyDescriptor) => {
    if (property !== undefined && descriptor) {
      descriptor.value = tracked(descriptor.value);
      permit(target, property, descriptor);
    } else {
      trackRoutes((target as { prototype: object }).prototype);
      permit(target as never);
    }
  };
}

function trackRoutes(prototype: object): void {
  for (const name of Object.getOwnPropertyNames(prototype)) {
    const descriptor = Object.getOwnPropertyDescriptor(prototype, name);
    if (name === 'constructor' || typeof descriptor?.value !== 'function') continue;
    Object.defineProperty(prototype, name, { ...descriptor, value: tracked(descriptor.value) });
  }
}
