import { EventEmitter } from 'node:events';
import { APP_GUARD } from '@nestjs/core';
import { Clock, parseTenantId, type TenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { JobNotFoundError, JobService, type JobView } from '@sparkle/graphrag';
import { JobQueues } from '@sparkle/runtime';
import { beforeEach, describe, expect, it } from 'vitest';
import { JobProgressStream } from '../src/jobs/job-progress-stream.js';
import { JobsController } from '../src/routes/jobs.controller.js';
import { Alice } from './alice.guard.js';
import { startHttpApp } from './http-app.js';

const demo = parseTenantId('demo');
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('JobProgressStream', () => {
  let rows: Map<string, JobView>;
  let events: EventEmitter;
  let clock: TestClock;
  let stream: JobProgressStream;

  const put = (state: JobView['state'], progress: number) =>
    rows.set('demo/1', { id: '1', state, progress } as JobView);

  beforeEach(() => {
    rows = new Map();
    events = new EventEmitter();
    clock = new TestClock();
    const jobs: Pick<JobService, 'get'> = {
      get: async (tenantId: TenantId, id: string) => {
        const job = rows.get(`${tenantId}/${id}`);
        if (!job) throw new JobNotFoundError();
        return job;
      },
    };
    const queues = { events: () => events } as unknown as JobQueues;
    stream = new JobProgressStream(jobs as JobService, queues, clock);
  });

  const listening = () => events.eventNames().reduce((sum, name) => sum + events.listenerCount(name), 0);

  it('tells the state at once, each change, and the end', async () => {
    put('queued', 0);
    const follow = stream.follow(demo, '1', new AbortController().signal);
    expect((await follow.next()).value).toMatchObject({ event: 'progress', data: { state: 'queued' } });
    for (const [state, progress, event] of [
      ['running', 0.5, 'progress'],
      ['completed', 1, 'completed'],
    ] as const) {
      const next = follow.next();
      await turn();
      put(state, progress);
      events.emit('progress', { jobId: '1' });
      expect((await next).value).toMatchObject({ event, data: { state, progress } });
    }
    expect((await follow.next()).done).toBe(true);
    expect(listening()).toBe(0);
  });

  it('tells a job that is over already once', async () => {
    put('failed', 0.3);
    const told: string[] = [];
    for await (const { event } of stream.follow(demo, '1', new AbortController().signal)) told.push(event);
    expect(told).toEqual(['failed']);
  });

  it('goes on where a client that comes back has stopped, and tells the end again', async () => {
    put('running', 0.1);
    const signal = new AbortController().signal;
    const first = (await stream.follow(demo, '1', signal).next()).value;
    const resumed = stream.follow(demo, '1', signal, first?.id);
    const next = resumed.next();
    await turn();
    put('completed', 1);
    events.emit('completed', { jobId: '1' });
    const last = (await next).value;
    expect(last).toMatchObject({ event: 'completed' });
    expect((await stream.follow(demo, '1', signal, last?.id).next()).value).toEqual(last);
    expect((await stream.follow(demo, '1', signal, 'unknown').next()).value).toEqual(last);
  });

  it('finds a change of which no event told, and says nothing when nothing changed', async () => {
    put('running', 0.1);
    const follow = stream.follow(demo, '1', new AbortController().signal);
    await follow.next();
    let told = false;
    const next = follow.next().then((result) => {
      told = true;
      return result;
    });
    await turn();
    await clock.advance(2_000);
    await turn();
    events.emit('progress', { jobId: 'another' });
    await turn();
    expect(told).toBe(false);
    put('completed', 1);
    await clock.advance(2_000);
    expect((await next).value).toMatchObject({ event: 'completed' });
  });

  it.each(['its client leaves', 'the application shuts down'])(
    'ends and listens no more when %s',
    async (what) => {
      put('running', 0.1);
      const client = new AbortController();
      const follow = stream.follow(demo, '1', client.signal);
      await follow.next();
      const next = follow.next();
      await turn();
      expect(listening()).toBeGreaterThan(0);
      if (what === 'its client leaves') client.abort();
      else stream.beforeApplicationShutdown();
      expect((await next).done).toBe(true);
      expect(listening()).toBe(0);
      expect((await stream.follow(demo, '1', client.signal).next()).value).toMatchObject({
        event: 'progress',
      });
    },
  );

  it('lets an application close although a client follows a job that goes on', async () => {
    put('running', 0.1);
    const id = '00000000-0000-4000-8000-000000000000';
    const jobs = { get: async () => rows.get('demo/1') };
    const app = await startHttpApp({
      controllers: [JobsController],
      providers: [
        { provide: JobService, useValue: jobs },
        { provide: JobQueues, useValue: { events: () => events } },
        { provide: Clock, useValue: clock },
        JobProgressStream,
        { provide: APP_GUARD, useClass: Alice },
      ],
    });
    const response = await fetch(`${app.address}/v1/jobs/${id}/events`);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    expect((await reader.read()).value).toMatch(/^id: [\w-]{22}\nevent: progress\n/);
    await app.close();
    expect((await reader.read()).done).toBe(true);
  });

  it('does not tell of another tenant that a job exists', async () => {
    put('running', 0.1);
    const follow = stream.follow(parseTenantId('other'), '1', new AbortController().signal);
    await expect(follow.next()).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' });
  });
});
