import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { TestClock } from '@sparkle/contracts/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { type FinishedRequest, RequestTracker } from '../core/request-tracker.js';
import { HttpInstrumentation } from './http-instrumentation.js';

describe('requests of a server that runs Express', () => {
  let server: Server;

  afterEach(() => new Promise<void>((resolve) => server.close(() => resolve())));

  async function serve() {
    const clock = new TestClock();
    const finished: FinishedRequest[] = [];
    const tracker = new RequestTracker(clock, 300_000, 10, (request) => finished.push(request));
    const http = new HttpInstrumentation(tracker);
    server = createServer((request, response) => {
      // What Express does once a route has matched.
      if (!request.url?.includes('nowhere'))
        Object.assign(request, { baseUrl: '/jobs', route: { path: '/:id' } });
      if (request.url?.includes('ignored')) http.ignore(request);
      void clock
        .advance(40)
        .then(() => response.writeHead(request.url?.includes('nowhere') ? 404 : 201).end());
    });
    http.attachToServer(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    return { url: `http://127.0.0.1:${port}`, finished, tracker };
  }

  it('are reported by the matched template once the response has ended', async () => {
    const { url, finished, tracker } = await serve();
    await fetch(`${url}/jobs/42`, { method: 'POST' });
    await fetch(`${url}/nowhere/42`);

    await expect.poll(() => finished).toHaveLength(2);
    expect(finished).toMatchObject([
      { method: 'POST', route: '/jobs/:id', status: '2xx', durationMs: 40, streamed: false },
      { method: 'GET', route: 'unmatched', status: '4xx', errorType: 'status_404' },
    ]);
    expect(tracker.figures()).toMatchObject({ active: 0, maxActive: 1, errorRate: 0 });
  });

  it('are not reported when ignored, yet are no longer active in the end', async () => {
    const { url, finished, tracker } = await serve();
    await fetch(`${url}/jobs/ignored`);
    await expect.poll(() => tracker.figures().active).toBe(0);
    expect(finished).toEqual([]);
  });
});
