import { Controller, Get, Headers, Inject, Param, Res } from '@nestjs/common';
import { ApiBearerAuth, ApiHeader, ApiOperation, ApiProduces, ApiTags } from '@nestjs/swagger';
import type { Principal } from '@sparkle/contracts';
import { JobService } from '@sparkle/graphrag';
import type { FastifyReply } from 'fastify';
import { Caller } from '../gateway/caller.decorator.js';
import { clientSignal, writeEventStream } from '../http/event-stream.js';
import { uuidParam } from '../http/parameters.js';
import { errorEvent } from '../http/problem.filter.js';
import { JobProgressStream } from '../jobs/job-progress-stream.js';

@ApiTags('jobs')
@ApiBearerAuth()
@Controller('v1/jobs')
export class JobsController {
  constructor(
    @Inject(JobService) private readonly jobs: JobService,
    @Inject(JobProgressStream) private readonly progress: JobProgressStream,
  ) {}

  @Get(':id')
  @ApiOperation({ summary: 'State and progress of a job' })
  get(@Caller() caller: Principal, @Param('id', uuidParam) id: string) {
    return this.jobs.get(caller.tenantId, id);
  }

  @Get(':id/events')
  @ApiOperation({ summary: "A job's progress as server-sent events, until it has ended" })
  @ApiHeader({
    name: 'Last-Event-ID',
    required: false,
    description: 'Where a stream that broke off goes on.',
  })
  @ApiProduces('text/event-stream')
  async events(
    @Caller() caller: Principal,
    @Param('id', uuidParam) id: string,
    @Headers('last-event-id') seen: string | undefined,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const events = this.progress.follow(caller.tenantId, id, clientSignal(reply), seen);
    await writeEventStream(reply, events, errorEvent);
  }
}
