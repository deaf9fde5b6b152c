import {
  Body,
  Controller,
  Delete,
  Get,
  Headers,
  HttpCode,
  Inject,
  Param,
  Post,
  Query,
  Req,
  Res,
} from '@nestjs/common';
import {
  ApiBearerAuth,
  ApiHeader,
  ApiNoContentResponse,
  ApiOperation,
  ApiProduces,
  ApiTags,
} from '@nestjs/swagger';
import { RateLimit } from '@sparkle/concurrency';
import type { Principal } from '@sparkle/contracts';
import { ConversationService } from '@sparkle/conversation';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { AGENT_OPERATIONS, Agent, conversationRequest } from '../answers/agent.js';
import { Caller } from '../gateway/caller.decorator.js';
import { clientSignal, wantsEventStream, writeEventStream } from '../http/event-stream.js';
import { uuidParam } from '../http/parameters.js';
import { errorEvent } from '../http/problem.filter.js';
import { ZodBody, ZodPipe, ZodQuery } from '../http/zod.pipe.js';

const message = z.strictObject({ content: z.string() });
const listing = z.object({
  cursor: z.string().min(1).max(200).optional().describe('`nextCursor` of the page before'),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});
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
    @Inject(Agent) private readonly agent: Agent,
  ) {}

  @Post()
  @ApiOperation({ summary: 'Begin a conversation' })
  @ZodBody(conversationRequest)
  create(
    @Caller() caller: Principal,
    @Body(new ZodPipe(conversationRequest)) { title }: z.output<typeof conversationRequest>,
  ) {
    return this.agent.begin(caller, title);
  }

  @Get()
  @ApiOperation({
    summary: 'Your own conversations',
    description: 'The one spoken in last comes first. `nextCursor` is null on the last page.',
  })
  @ZodQuery(listing)
  async list(
    @Caller() { tenantId, userId }: Principal,
    @Query(new ZodPipe(listing)) { cursor, limit }: z.output<typeof listing>,
  ) {
    const { items, nextCursor } = await this.conversations.list({
      tenantId,
      userId,
      limit,
      ...(cursor === undefined ? {} : { cursor }),
    });
    return { conversations: items, nextCursor };
  }

  @Delete(':id')
  @HttpCode(204)
  @ApiOperation({
    summary: 'Delete a conversation',
    description:
      'With its messages, their embeddings, its summaries and notes. A message that is being answered is not answered any more.',
  })
  @ApiNoContentResponse({ description: 'It is gone.' })
  async delete(
    @Caller() { tenantId, userId }: Principal,
    @Param('id', uuidParam) conversationId: string,
  ): Promise<void> {
    await this.conversations.delete({ tenantId, userId, conversationId });
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
  @RateLimit(AGENT_OPERATIONS.say.limits)
  @ApiOperation({
    summary: 'Say something and get the answer',
    description:
      'As one JSON document, or with `Accept: text/event-stream` as it is written: `state`, `delta`, `tool_call` and `tool_result` events, then `answer` with the whole turn. Leaving cancels the model call.',
  })
  @ApiHeader({
    name: 'Idempotency-Key',
    required: false,
    description: 'A retry with the same key gets the same turn.',
  })
  @ApiProduces('application/json', 'text/event-stream')
  @ZodBody(message)
  async say(
    @Caller() caller: Principal,
    @Param('id', uuidParam) conversationId: string,
    @Body(new ZodPipe(message)) { content }: z.output<typeof message>,
    @Headers('idempotency-key') idempotencyKey: string | undefined,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const saying = { conversationId, content, idempotencyKey };
    const signal = clientSignal(reply);
    if (wantsEventStream(request)) {
      await writeEventStream(reply, this.agent.sayEvents(caller, saying, signal), errorEvent);
      return;
    }
    const turn = await this.agent.say(caller, saying, signal);
    void reply.code(turn.replayed ? 200 : 201).send(turn);
  }
}
