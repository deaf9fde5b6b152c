import { Module } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import { RequestScopeInterceptor } from '@sparkle/database';
import { AnswerPipeline } from './answers/answer-pipeline.js';
import { AuthGuard } from './gateway/auth.guard.js';
import { LimitsGuard } from './gateway/limits.guard.js';
import { TenantGuard } from './gateway/tenant.guard.js';
import { TenantContextInterceptor } from './gateway/tenant-context.interceptor.js';
import { ProblemFilter } from './http/problem.filter.js';
import { JobProgressStream } from './jobs/job-progress-stream.js';
import { AnswersController } from './routes/answers.controller.js';
import { ConversationsController } from './routes/conversations.controller.js';
import { DocumentsController } from './routes/documents.controller.js';
import { GraphController } from './routes/graph.controller.js';
import { JobsController } from './routes/jobs.controller.js';
import { LearningController } from './routes/learning.controller.js';
import { ResolutionsController } from './routes/resolutions.controller.js';

/** The HTTP interface; needs `RuntimeModule` beside it. Guards run in this order: auth → tenant → limits. */
@Module({
  controllers: [
    AnswersController,
    ConversationsController,
    DocumentsController,
    GraphController,
    JobsController,
    LearningController,
    ResolutionsController,
  ],
  providers: [
    AnswerPipeline,
    JobProgressStream,
    { provide: APP_GUARD, useClass: AuthGuard },
    { provide: APP_GUARD, useClass: TenantGuard },
    { provide: APP_GUARD, useClass: LimitsGuard },
    { provide: APP_INTERCEPTOR, useClass: TenantContextInterceptor },
    { provide: APP_INTERCEPTOR, useClass: RequestScopeInterceptor },
    { provide: APP_FILTER, useClass: ProblemFilter },
  ],
})
export class ApiModule {}
