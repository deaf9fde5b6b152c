import { Body, Controller, Delete, Get, HttpCode, Inject, Param, Post, Query } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Principal } from '@sparkle/contracts';
import { type DeadLetter, DeadLetters, type QueueName, TENANT_QUEUE_NAMES } from '@sparkle/runtime';
import { z } from 'zod';
import { Caller } from '../gateway/caller.decorator.js';
import { Scope } from '../gateway/gateway.guard.js';
import { HTTP_STATUS } from '../http/http-status.js';
import { ZodBody, ZodPipe, ZodQuery } from '../http/zod.pipe.js';

const queue = z.enum(TENANT_QUEUE_NAMES);
const queueParam = new ZodPipe(queue);
const idParam = new ZodPipe(z.string().min(1).max(200));
const page = z.object({
  queue: queue.optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  before: z.coerce.number().int().min(0).optional().describe('`next` of the page before'),
});
const replayBody = z.strictObject({ queue: queue.optional().describe('Only those of this queue') });

/** What the worker gave up of a tenant's own work; for its administrators. */
@ApiTags('jobs')
@ApiBearerAuth()
@Controller('v1/dead-letters')
@Scope('admin')
export class DeadLettersController {
  constructor(@Inject(DeadLetters) private readonly letters: DeadLetters) {}

  @Get()
  @ApiOperation({ summary: 'Jobs that were given up, newest first' })
  @ZodQuery(page)
  async list(
    @Caller() { tenantId }: Principal,
    @Query(new ZodPipe(page)) { queue, limit, before }: z.output<typeof page>,
  ) {
    const { deadLetters, next } = await this.letters.list({ tenantId, queue }, { limit, before });
    return { deadLetters: deadLetters.map(viewOf), ...(next !== undefined && { next }) };
  }

  @Post('replay')
  @HttpCode(202)
  @ApiOperation({ summary: 'Let all jobs that were given up run again, or those of one queue' })
  @ZodBody(replayBody)
  async replayAll(
    @Caller() { tenantId }: Principal,
    @Body(new ZodPipe(replayBody)) { queue }: z.output<typeof replayBody>,
  ) {
    return { replayed: await this.letters.replayAll({ tenantId, queue }) };
  }

  @Get(':queue/:id')
  @ApiOperation({ summary: 'A job that was given up: what it carried, and what it failed of' })
  async get(
    @Caller() { tenantId }: Principal,
    @Param('queue', queueParam) queue: QueueName,
    @Param('id', idParam) id: string,
  ) {
    return viewOf(await this.letters.get(queue, id, tenantId));
  }

  @Post(':queue/:id/replay')
  @HttpCode(202)
  @ApiOperation({ summary: 'Let a job that was given up run again; doing so twice runs it once' })
  async replay(
    @Caller() { tenantId }: Principal,
    @Param('queue', queueParam) queue: QueueName,
    @Param('id', idParam) id: string,
  ) {
    return { outcome: await this.letters.replay(queue, id, tenantId) };
  }

  @Delete(':queue/:id')
  @HttpCode(204)
  @ApiOperation({ summary: 'Forget a job that was given up; what it was to do stays undone' })
  async discard(
    @Caller() { tenantId }: Principal,
    @Param('queue', queueParam) queue: QueueName,
    @Param('id', idParam) id: string,
  ): Promise<void> {
    await this.letters.discard(queue, id, tenantId);
  }
}

const FORESEEN = /^([A-Z][A-Z0-9_]*): /;

/** Only reasons that are written for clients are shown; any other may name what is behind the service. */
function viewOf({ reason, tenantId: _, ...letter }: DeadLetter) {
  const code = FORESEEN.exec(reason)?.[1];
  const foreseen = code !== undefined && HTTP_STATUS[code] !== undefined;
  return {
    ...letter,
    code: foreseen ? code : 'INTERNAL_ERROR',
    reason: foreseen ? reason.slice(code.length + 2) : 'Something went wrong on our side.',
    addedAt: new Date(letter.addedAt).toISOString(),
    failedAt: new Date(letter.failedAt).toISOString(),
  };
}
