import { Module } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import { RuntimeConfig } from '@sparkle/runtime';
import { Agent } from './answers/agent.js';
import { AnswerPipeline } from './answers/answer-pipeline.js';
import { CallerContextInterceptor } from './gateway/caller-context.interceptor.js';
import { GatewayGuard } from './gateway/gateway.guard.js';
import { Gateway } from './gateway/gateway.js';
import { AgentController } from './grpc/agent.controller.js';
import { CallsUnderWay } from './grpc/calls-under-way.js';
import { GrpcServer } from './grpc/grpc-server.js';
import { ProblemFilter } from './http/problem.filter.js';
import { JobProgressStream } from './jobs/job-progress-stream.js';
import { AnswersController } from './routes/answers.controller.js';
import { ChecklistController } from './routes/checklist.controller.js';
import { ConversationsController } from './routes/conversations.controller.js';
import { DeadLettersController } from './routes/dead-letters.controller.js';
import { DocumentsController } from './routes/documents.controller.js';
import { GraphController } from './routes/graph.controller.js';
import { JobsController } from './routes/jobs.controller.js';
import { LearningController } from './routes/learning.controller.js';
import { OperationsController } from './routes/operations.controller.js';
import { ResolutionsController } from './routes/resolutions.controller.js';
import { WebSocketController } from './websocket/web-socket.controller.js';
import { WebSocketDoor } from './websocket/web-socket.door.js';
import { WEB_SOCKET_DEFAULTS, WebSocketOptions } from './websocket/web-socket.options.js';

/** The doors and what they lead to; needs `RuntimeModule` beside it. */
@Module({
  controllers: [
    AgentController,
    AnswersController,
    ChecklistController,
    ConversationsController,
    DeadLettersController,
    DocumentsController,
    GraphController,
    JobsController,
    LearningController,
    OperationsController,
    ResolutionsController,
    WebSocketController,
  ],
  providers: [
    Agent,
    AnswerPipeline,
    CallsUnderWay,
    Gateway,
    GrpcServer,
    JobProgressStream,
    WebSocketDoor,
    {
      provide: WebSocketOptions,
      inject: [RuntimeConfig],
      useFactory: ({ webSocket }: RuntimeConfig): WebSocketOptions => ({
        ...WEB_SOCKET_DEFAULTS,
        ...webSocket,
      }),
    },
    { provide: APP_GUARD, useClass: GatewayGuard },
    { provide: APP_INTERCEPTOR, useClass: CallerContextInterceptor },
    { provide: APP_FILTER, useClass: ProblemFilter },
  ],
})
export class ApiModule {}
