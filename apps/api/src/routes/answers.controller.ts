import { Body, Controller, HttpCode, Inject, Post, Req, Res } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiProduces, ApiTags } from '@nestjs/swagger';
import { SemanticCache } from '@sparkle/cache';
import { RateLimit } from '@sparkle/concurrency';
import type { Principal } from '@sparkle/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { AGENT_OPERATIONS, Agent, type AskRequest, askRequest } from '../answers/agent.js';
import { Caller } from '../gateway/caller.decorator.js';
import { clientSignal, wantsEventStream, writeEventStream } from '../http/event-stream.js';
import { errorEvent } from '../http/problem.filter.js';
import { ZodBody, ZodPipe } from '../http/zod.pipe.js';

const feedback = z.strictObject({
  kind: z.literal('bad_hit').describe('The cached answer does not answer the question it was served for'),
  cacheEntry: z.string().min(1).max(200).describe('`cacheEntry` of that answer'),
});

@ApiTags('answers')
@ApiBearerAuth()
@Controller('v1')
export class AnswersController {
  constructor(
    @Inject(Agent) private readonly agent: Agent,
    @Inject(SemanticCache) private readonly cache: SemanticCache,
  ) {}

  @Post('answers')
  @RateLimit(AGENT_OPERATIONS.ask.limits)
  @ApiOperation({
    summary: 'Ask once',
    description: 'As one JSON document, or with `Accept: text/event-stream` as it is written.',
  })
  @ApiProduces('application/json', 'text/event-stream')
  @ZodBody(askRequest)
  async answer(
    @Caller() caller: Principal,
    @Body(new ZodPipe(askRequest)) body: AskRequest,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const signal = clientSignal(reply);
    if (wantsEventStream(request)) {
      await writeEventStream(reply, this.agent.askEvents(caller, body, signal), errorEvent);
      return;
    }
    void reply.code(200).send(await this.agent.ask(caller, body, signal));
  }

  @Post('feedback')
  @HttpCode(204)
  @ApiOperation({ summary: 'Report a cached answer that was served for another question' })
  @ZodBody(feedback)
  async feedback(
    @Caller() { tenantId }: Principal,
    @Body(new ZodPipe(feedback)) { cacheEntry }: z.output<typeof feedback>,
  ): Promise<void> {
    await this.cache.reportBadHit({ tenantId, entryId: cacheEntry });
  }
}
