import { Body, Controller, HttpCode, Inject, Post, Req, Res } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiProduces, ApiTags } from '@nestjs/swagger';
import { SemanticCache } from '@sparkle/cache';
import { RateLimit } from '@sparkle/concurrency';
import type { Principal } from '@sparkle/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { AnswerPipeline } from '../answers/answer-pipeline.js';
import { answerStream } from '../answers/answer-stream.js';
import { Caller } from '../gateway/caller.decorator.js';
import { wantsEventStream, writeEventStream } from '../http/event-stream.js';
import { errorEvent } from '../http/problem.filter.js';
import { ZodBody, ZodPipe } from '../http/zod.pipe.js';

const ask = z.strictObject({
  question: z.string().trim().min(1, 'is empty').max(4000),
  strategy: z.enum(['graph', 'plain']).default('graph'),
  k: z.int().min(1).max(100).default(10).describe('Passages to retrieve'),
  tokenBudget: z.int().min(50).max(32_000).default(1500).describe('Tokens of context for the model'),
});

const feedback = z.strictObject({
  kind: z.literal('bad_hit').describe('The cached answer does not answer the question it was served for'),
  cacheEntry: z.string().min(1).max(200).describe('`cacheEntry` of that answer'),
});

@ApiTags('answers')
@ApiBearerAuth()
@Controller('v1')
export class AnswersController {
  constructor(
    @Inject(AnswerPipeline) private readonly pipeline: AnswerPipeline,
    @Inject(SemanticCache) private readonly cache: SemanticCache,
  ) {}

  @Post('answers')
  @RateLimit({ action: 'answers' })
  @ApiOperation({
    summary: 'Ask once',
    description: 'As one JSON document, or with `Accept: text/event-stream` as it is written.',
  })
  @ApiProduces('application/json', 'text/event-stream')
  @ZodBody(ask)
  async answer(
    @Caller() { tenantId }: Principal,
    @Body(new ZodPipe(ask)) body: z.output<typeof ask>,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const question = { tenantId, ...body };
    if (wantsEventStream(request)) {
      const events = answerStream((onText) => this.pipeline.ask(question, onText));
      await writeEventStream(reply, events, errorEvent);
      return;
    }
    void reply.code(200).send(await this.pipeline.ask(question));
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
