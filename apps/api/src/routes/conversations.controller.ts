import { Body, Controller, Get, Headers, Inject, Param, Post, Query, Req, Res } from '@nestjs/common';
import { ApiBearerAuth, ApiHeader, ApiOperation, ApiProduces, ApiTags } from '@nestjs/swagger';
import { RateLimit } from '@sparkle/concurrency';
import type { Principal } from '@sparkle/contracts';
import { ChatOrchestrator, ConversationService, type Turn, type TurnEvent } from '@sparkle/conversation';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { Caller } from '../gateway/caller.decorator.js';
import { clientSignal, type ServerEvent, wantsEventStream, writeEventStream } from '../http/event-stream.js';
import { uuidParam } from '../http/parameters.js';
import { errorEvent } from '../http/problem.filter.js';
import { ZodBody, ZodPipe, ZodQuery } from '../http/zod.pipe.js';

const creation = z.strictObject({ title: z.string().optional() });
const message = z.strictObject({ content: z.string() });
const page = z.object({
  cursor: z.coerce.number().int().min(0).default(0).describe('Number of the last message of the page before'),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});

@ApiTags('conversations')
@ApiBearerAuth()
@Controller('v1/conversations')
export class ConversationsController {
  constructor(
    @Inject(ConversationService) private readonly conversations: ConversationService,
    @Inject(ChatOrchestrator) private readonly orchestrator: ChatOrchestrator,
  ) {}

  @Post()
  @ApiOperation({ summary: 'Begin a conversation' })
  @ZodBody(creation)
  create(@Caller() caller: Principal, @Body(new ZodPipe(creation)) body: z.output<typeof creation>) {
    const { tenantId, userId } = caller;
    return this.conversations.create({
      tenantId,
      userId,
      ...(body.title === undefined ? {} : { title: body.title }),
    });
  }

  @Get(':id')
  @ApiOperation({ summary: 'A conversation, and how far its summary reaches' })
  get(@Caller() { tenantId, userId }: Principal, @Param('id', uuidParam) conversationId: string) {
    return this.conversations.get({ tenantId, userId, conversationId });
  }

  @Get(':id/messages')
  @ApiOperation({ summary: 'Messages, oldest first' })
  @ZodQuery(page)
  async messages(
    @Caller() { tenantId, userId }: Principal,
    @Param('id', uuidParam) conversationId: string,
    @Query(new ZodPipe(page)) query: z.output<typeof page>,
  ) {
    const { items, nextCursor } = await this.conversations.messages({
      tenantId,
      userId,
      conversationId,
      ...query,
    });
    return { messages: items, nextCursor };
  }

  @Post(':id/messages')
  @RateLimit({ action: 'messages' })
  @ApiOperation({
    summary: 'Say something and get the answer',
    description: 'As one JSON document, or with `Accept: text/event-stream` as it is written.',
  })
  @ApiHeader({
    name: 'Idempotency-Key',
    required: false,
    description: 'A retry with the same key gets the same turn.',
  })
  @ApiProduces('application/json', 'text/event-stream')
  @ZodBody(message)
  async say(
    @Caller() { tenantId, userId }: Principal,
    @Param('id', uuidParam) conversationId: string,
    @Body(new ZodPipe(message)) { content }: z.output<typeof message>,
    @Headers('idempotency-key') idempotencyKey: string | undefined,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const turn = {
      tenantId,
      userId,
      conversationId,
      content,
      signal: clientSignal(reply),
      ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    };
    if (wantsEventStream(request)) {
      await writeEventStream(reply, turnEvents(this.orchestrator.replyStream(turn)), errorEvent);
      return;
    }
    const finished = await this.orchestrator.reply(turn);
    void reply.code(finished.replayed ? 200 : 201).send(turnView(finished));
  }
}

/** A turn in the terms of an answer: the same fields as `POST /v1/answers`, and what memory did. */
function turnView(turn: Turn) {
  return {
    conversationId: turn.conversationId,
    message: turn.question,
    reply: turn.reply,
    answer: turn.answer,
    citations: turn.citations,
    paths: turn.paths,
    supported: turn.supported,
    cache: 'miss',
    retrieval: { ...turn.retrieval, milliseconds: turn.retrieval.durationMs },
    usage: turn.usage,
    model: turn.model,
    memory: turn.memory,
    trace: turn.trace,
    replayed: turn.replayed,
  };
}

async function* turnEvents(events: AsyncIterable<TurnEvent>): AsyncGenerator<ServerEvent> {
  for await (const event of events) {
    if (event.type === 'turn') yield { event: 'answer', data: turnView(event.turn) };
    else {
      const { type, ...data } = event;
      yield { event: type, data };
    }
  }
}
