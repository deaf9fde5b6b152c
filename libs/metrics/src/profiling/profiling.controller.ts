import type { ServerResponse } from 'node:http';
import {
  applyDecorators,
  Controller,
  Get,
  Inject,
  Logger,
  Post,
  Query,
  Req,
  Res,
  StreamableFile,
  type Type,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { Unmeasured } from '../nest/unmeasured.decorator.js';
import type { EventLoopReport } from './event-loop-report.js';
import { Profiler } from './profiler.js';

/** How {@link profilingController} is put into an application. */
export interface ProfilingControllerOptions {
  /** Above `profiles/…` and `event-loop`. */
  readonly path: string;
  /**
   * Put on the class. Needs the application's own guard for administrators of the whole installation: profiles, heap
   * snapshots above all, hold the data of every user.
   */
  readonly decorators: readonly ClassDecorator[];
  /** Says who asks, for the log. */
  readonly callerOf: (request: unknown) => string;
}

/** What there is at a {@link profilingController}. */
export interface ProfilingRoutes {
  cpu(query: Asked, request: unknown, response: unknown): Promise<StreamableFile>;
  heapSampling(query: Asked, request: unknown, response: unknown): Promise<StreamableFile>;
  heap(request: unknown, response: unknown): Promise<StreamableFile>;
  eventLoop(query: Asked, request: unknown, response: unknown): Promise<EventLoopReport>;
}

type Asked = Readonly<Record<string, string>>;
type Message<T> = T & { readonly raw?: T };

/**
 * Makes the controller of `POST <path>/profiles/cpu`, `/profiles/heap-sampling`, `/profiles/heap` and
 * `GET <path>/event-loop`, for Fastify and Express. Options come as the query. A client that leaves ends its profile.
 * Every profile is logged, with who asked for it. Its errors are those of {@link Profiler}.
 */
export function profilingController(options: ProfilingControllerOptions): Type<ProfilingRoutes> {
  const { path, decorators, callerOf } = options;
  const logger = new Logger('Profiling');

  @applyDecorators(...decorators)
  @Unmeasured(true)
  @Controller(path)
  class ProfilingController implements ProfilingRoutes {
    constructor(
      @Inject(Profiler) private readonly profiler: Profiler,
      @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost,
    ) {}

    @Post('profiles/cpu')
    async cpu(
      @Query() query: Asked,
      @Req() request: unknown,
      @Res({ passthrough: true }) response: unknown,
    ): Promise<StreamableFile> {
      const profile = await this.noted(
        'CPU profile',
        request,
        this.profiler.cpu(query, clientSignal(response)),
      );
      return new StreamableFile(Buffer.from(JSON.stringify(profile)), this.file(response, 'cpuprofile'));
    }

    @Post('profiles/heap-sampling')
    async heapSampling(
      @Query() query: Asked,
      @Req() request: unknown,
      @Res({ passthrough: true }) response: unknown,
    ): Promise<StreamableFile> {
      const taking = this.profiler.heapSampling(query, clientSignal(response));
      const profile = await this.noted('heap sampling profile', request, taking);
      return new StreamableFile(Buffer.from(JSON.stringify(profile)), this.file(response, 'heapprofile'));
    }

    @Post('profiles/heap')
    async heap(
      @Req() request: unknown,
      @Res({ passthrough: true }) response: unknown,
    ): Promise<StreamableFile> {
      const taking = (async () => this.profiler.heapSnapshot(clientSignal(response)))();
      const snapshot = await this.noted('heap snapshot', request, taking);
      // Ended by the client or by its deadline: nothing to report, and no listener would end the process.
      snapshot.on('error', () => {});
      return new StreamableFile(snapshot, this.file(response, 'heapsnapshot'));
    }

    @Get('event-loop')
    async eventLoop(
      @Query() query: Asked,
      @Req() request: unknown,
      @Res({ passthrough: true }) response: unknown,
    ): Promise<EventLoopReport> {
      const report = await this.noted(
        'event-loop report',
        request,
        this.profiler.eventLoop(query, clientSignal(response)),
      );
      this.host.httpAdapter.setHeader(response, 'Cache-Control', 'no-store');
      return report;
    }

    private async noted<T>(what: string, request: unknown, taking: Promise<T>): Promise<T> {
      const caller = callerOf(request);
      logger.warn(`${caller} takes a ${what} of this process (pid ${process.pid})`);
      try {
        return await taking;
      } catch (error) {
        logger.warn(`${caller} got no ${what}: ${error instanceof Error ? error.message : 'unknown'}`);
        throw error;
      }
    }

    /** Headers of a file that no cache may keep. */
    private file(response: unknown, extension: string): { type: string; disposition: string } {
      const { httpAdapter } = this.host;
      httpAdapter.status(response, 200);
      httpAdapter.setHeader(response, 'Cache-Control', 'no-store');
      const name = `${process.pid}-${new Date().toISOString().replace(/[:.]/g, '-')}.${extension}`;
      return { type: 'application/json', disposition: `attachment; filename="${name}"` };
    }
  }
  return ProfilingController;
}

/** Aborts when the client closes the connection before the response is complete. */
function clientSignal(response: unknown): AbortSignal {
  const message = response as Message<ServerResponse>;
  const raw = message.raw ?? message;
  const controller = new AbortController();
  const onClose = () => {
    if (!raw.writableFinished) controller.abort();
  };
  if (raw.destroyed) onClose();
  else raw.once('close', onClose);
  return controller.signal;
}
