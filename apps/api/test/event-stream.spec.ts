import { once } from 'node:events';
import type { Socket } from 'node:net';
import { type CanActivate, Controller, type ExecutionContext, Get, Res, UseGuards } from '@nestjs/common';
import { JobNotFoundError } from '@sparkle/graphrag';
import type { FastifyReply } from 'fastify';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { clientSignal, type ServerEvent, writeEventStream } from '../src/http/event-stream.js';
import { errorEvent } from '../src/http/problem.filter.js';
import { type HttpApp, startHttpApp } from './http-app.js';

/** What the next request is answered with. */
let answer: (reply: FastifyReply) => AsyncIterable<ServerEvent>;
let handled: (reply: FastifyReply) => void = () => {};
let admitting: () => void = () => {};

/** Admits a request after its client has left. */
class SlowGuard implements CanActivate {
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const { raw } = context.switchToHttp().getResponse<FastifyReply>();
    const left = once(raw, 'close');
    admitting();
    await left;
    return true;
  }
}

@Controller()
class StreamController {
  @Get('stream')
  async stream(@Res() reply: FastifyReply): Promise<void> {
    void reply.header('ratelimit-limit', '7');
    await writeEventStream(reply, answer(reply), errorEvent);
  }

  @Get('late')
  @UseGuards(SlowGuard)
  async late(@Res() reply: FastifyReply): Promise<void> {
    handled(reply);
    await writeEventStream(reply, answer(reply), errorEvent);
  }
}

const GET = (path: string) => `GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`;

describe('writeEventStream', () => {
  let app: HttpApp;

  beforeAll(async () => {
    app = await startHttpApp({ controllers: [StreamController] });
  });
  afterAll(() => app.close());
  afterEach(() => {
    handled = () => {};
  });

  it('sends each event as it comes, with the headers that guards set', async () => {
    let resume = () => {};
    answer = async function* () {
      yield { event: 'a', data: { text: 'line\nbreak' } };
      await new Promise<void>((resolve) => {
        resume = resolve;
      });
      yield { event: 'b', id: '2', data: null };
    };
    const response = await fetch(`${app.address}/stream`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(response.headers.get('ratelimit-limit')).toBe('7');
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    expect((await reader.read()).value).toBe('event: a\ndata: {"text":"line\\nbreak"}\n\n');
    resume();
    expect((await reader.read()).value).toBe('id: 2\nevent: b\ndata: null\n\n');
    expect((await reader.read()).done).toBe(true);
  });

  it('answers a failure before the first event with a problem document and its status', async () => {
    // biome-ignore lint/correctness/useYield: it fails before it has anything to say.
    answer = async function* () {
      throw new JobNotFoundError();
    };
    const response = await fetch(`${app.address}/stream`);
    expect(response.status).toBe(404);
    expect(response.headers.get('content-type')).toContain('application/problem+json');
    expect(await response.json()).toMatchObject({ code: 'JOB_NOT_FOUND' });
  });

  it('ends a stream that fails with an event that says nothing of the cause', async () => {
    answer = async function* () {
      yield { event: 'a', data: 1 };
      throw new Error('password=secret');
    };
    const text = await (await fetch(`${app.address}/stream`)).text();
    const [, last] = text.trim().split('\n\n');
    expect(last).toMatch(/^event: error\ndata: \{.*"code":"INTERNAL_ERROR"/);
    expect(text).not.toContain('secret');
  });

  it('ends an empty stream', async () => {
    answer = async function* () {};
    const response = await fetch(`${app.address}/stream`);
    expect([response.status, await response.text()]).toEqual([200, '']);
  });

  it('waits for a client that does not read, goes on when it does, and ends when it leaves', async () => {
    const chunk = 'x'.repeat(1 << 16);
    let produced = 0;
    let buffered = 0;
    let ended = false;
    answer = async function* (reply) {
      try {
        for (;;) {
          produced++;
          buffered = Math.max(buffered, reply.raw.writableLength);
          yield { event: 'a', data: chunk };
        }
      } finally {
        ended = true;
      }
    };
    const settled = async () => {
      let before = -1;
      await vi.waitFor(
        () => {
          const still = produced === before;
          before = produced;
          expect(still).toBe(true);
        },
        { timeout: 20_000, interval: 100 },
      );
    };
    const socket = await app.connect();
    socket.write(GET('/stream'));
    await vi.waitFor(() => expect(produced).toBeGreaterThan(1));
    await settled();
    const stuck = produced;
    // What the server holds itself; the system's socket buffers hold the rest.
    expect(buffered).toBeLessThan(1 << 20);
    socket.resume();
    await vi.waitFor(() => expect(produced).toBeGreaterThan(stuck + 100), 10_000);
    socket.destroy();
    await vi.waitFor(() => expect(ended).toBe(true), 10_000);
  });

  it('cancels work that has nothing to send when the client leaves', async () => {
    let reason: unknown;
    let ended = false;
    answer = async function* (reply) {
      const signal = clientSignal(reply);
      try {
        yield { event: 'a', data: 1 };
        await once(signal, 'abort');
        reason = signal.reason;
      } finally {
        ended = true;
      }
    };
    const socket = await app.connect();
    socket.write(GET('/stream'));
    await once(socket, 'data');
    socket.destroy();
    await vi.waitFor(() => expect(ended).toBe(true), 10_000);
    expect(reason).toMatchObject({ message: 'the client left' });
  });

  it('survives a client that leaves before the first event', async () => {
    let ended = false;
    let socket: Socket | undefined;
    answer = async function* (reply) {
      try {
        const aborted = once(clientSignal(reply), 'abort');
        socket!.destroy();
        await aborted;
        yield { event: 'a', data: 1 };
        yield { event: 'b', data: 1 };
      } finally {
        ended = true;
      }
    };
    socket = await app.connect();
    socket.write(GET('/stream'));
    await vi.waitFor(() => expect(ended).toBe(true), 10_000);
  });

  it('knows of a client that left while its request was being admitted', async () => {
    let signal: AbortSignal | undefined;
    handled = (reply) => {
      signal = clientSignal(reply);
    };
    answer = async function* () {};
    const socket = await app.connect();
    admitting = () => socket.destroy();
    socket.write(GET('/late'));
    await vi.waitFor(() => expect(signal).toBeDefined(), 10_000);
    expect(signal!.aborted).toBe(true);
  });

  it('does not take a response that was completed for a client that left', async () => {
    let signal: AbortSignal | undefined;
    let closed: Promise<unknown> | undefined;
    answer = async function* (reply) {
      signal = clientSignal(reply);
      closed = once(reply.raw, 'close');
      yield { event: 'a', data: 1 };
    };
    await (await fetch(`${app.address}/stream`)).text();
    await closed;
    expect(signal!.aborted).toBe(false);
  });
});
