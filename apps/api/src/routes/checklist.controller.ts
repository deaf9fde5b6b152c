import { Controller, Get, Inject, Query } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Principal } from '@sparkle/contracts';
import { type ChecklistItem, ProductionChecklist } from '@sparkle/runtime';
import { z } from 'zod';
import { Caller } from '../gateway/caller.decorator.js';
import { Scope } from '../gateway/gateway.guard.js';
import { ZodPipe, ZodQuery } from '../http/zod.pipe.js';

const query = z.strictObject({
  qps: z.coerce.number().positive().max(1e6).optional().describe('Requests per second that must be reached'),
});

@ApiTags('operations')
@ApiBearerAuth()
@Controller('v1/operations')
export class ChecklistController {
  constructor(@Inject(ProductionChecklist) private readonly checklist: ProductionChecklist) {}

  @Get('checklist')
  @Scope('operator')
  @ApiOperation({
    summary: 'The production checklist',
    description: 'What this process can measure of it, by its figures of the last five minutes.',
  })
  @ZodQuery(query)
  async measure(
    @Caller() { tenantId }: Principal,
    @Query(new ZodPipe(query)) { qps }: z.output<typeof query>,
  ): Promise<{ items: readonly ChecklistItem[] }> {
    return { items: await this.checklist.measure(tenantId, qps) };
  }
}
