import { Controller, Get, Inject, Req, Res } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { VerifiedToken } from '@sparkle/runtime';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CallerToken } from '../gateway/caller.decorator.js';
import { WebSocketDoor } from './web-socket.door.js';

@ApiTags('answers', 'conversations')
@ApiBearerAuth()
@Controller('v1/ws')
export class WebSocketController {
  constructor(@Inject(WebSocketDoor) private readonly door: WebSocketDoor) {}

  @Get()
  @ApiOperation({
    summary: 'Ask and talk over a WebSocket',
    description: 'The handshake (RFC 6455). docs/guides/websocket.md describes the messages.',
  })
  open(
    @CallerToken() caller: VerifiedToken,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): void {
    this.door.open(request, reply, caller);
  }
}
