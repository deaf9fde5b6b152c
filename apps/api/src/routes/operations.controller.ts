import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { type ProfilingRoutes, profileOptions, profilingController } from '@sparkle/metrics';
import type { FastifyRequest } from 'fastify';
import { Scope } from '../gateway/gateway.guard.js';
import { ZodQuery } from '../http/zod.pipe.js';

/** Profiles of this process, for operators of the installation: no tenant's own token reaches them. */
export const OperationsController = profilingController({
  path: 'v1/operations',
  decorators: [Scope('operator'), ApiTags('operations'), ApiBearerAuth()],
  callerOf: (request) => {
    const { principal } = request as FastifyRequest;
    return principal ? `${principal.tenantId}/${principal.userId}` : 'nobody';
  },
});

const descriptions: Readonly<Record<keyof ProfilingRoutes, readonly MethodDecorator[]>> = {
  cpu: [
    ApiOperation({
      summary: 'A CPU profile of this process',
      description: 'A .cpuprofile, e.g. for speedscope.',
    }),
    ZodQuery(profileOptions.cpu),
  ],
  heapSampling: [
    ApiOperation({ summary: 'What allocated the memory in use', description: 'A .heapprofile.' }),
    ZodQuery(profileOptions.heapSampling),
  ],
  heap: [
    ApiOperation({
      summary: 'A heap snapshot of this process',
      description: 'A .heapsnapshot. The process stands still while it is taken, about a second per 100 MB.',
    }),
  ],
  eventLoop: [ApiOperation({ summary: 'What kept the event loop busy' }), ZodQuery(profileOptions.eventLoop)],
};

for (const [name, decorators] of Object.entries(descriptions)) {
  const method = Object.getOwnPropertyDescriptor(OperationsController.prototype, name);
  if (method) for (const decorate of decorators) decorate(OperationsController.prototype, name, method);
}
