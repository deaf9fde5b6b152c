import { UseFilters, UseGuards } from '@nestjs/common';
import { profilingController } from '@sparkle/metrics';
import { OperationsFilter } from './operations.filter.js';
import { OperatorGuard, type OperatorRequest } from './operator.guard.js';

/** Profiles of a worker process, at the same paths and for the same operators as those of the api. */
export const OperationsController = profilingController({
  path: 'v1/operations',
  decorators: [UseGuards(OperatorGuard), UseFilters(OperationsFilter)],
  callerOf: (request) => {
    const { operator } = request as OperatorRequest;
    return operator ? `${operator.tenantId}/${operator.userId}` : 'nobody';
  },
});
