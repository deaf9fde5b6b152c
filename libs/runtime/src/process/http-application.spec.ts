import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { Controller, Get } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { beforeEach, describe, expect, it } from 'vitest';
import { parseEnvironment } from '../config/environment.js';
import { createHttpApplication } from './http-application.js';

let answer: () => void;
let asked: Promise<void>;

@Controller()
class SlowController {
  static asked: () => void;

  @Get()
  async get() {
    SlowController.asked();
    await new Promise<void>((resolve) => {
      answer = resolve;
    });
    return { answered: true };
  }
}

class TestModule {}

describe('an HTTP application that closes', () => {
  let app: NestFastifyApplication;
  let port: number;

  beforeEach(async () => {
    asked = new Promise((resolve) => {
      SlowController.asked = resolve;
    });
    const config = { ...parseEnvironment({}, { embedded: true }), logLevel: 'fatal' as const };
    app = await createHttpApplication({ module: TestModule, controllers: [SlowController] }, config, 1_000);
    await app.listen(0, '127.0.0.1');
    port = (app.getHttpServer().address() as AddressInfo).port;
  });

  /** Opens a connection, says `text` on it, and gives the promise that the server hangs up. */
  const dial = async (text = '') => {
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    await once(socket, 'connect');
    socket.write(text);
    return { hungUp: new Promise((resolve) => socket.once('close', resolve)) };
  };

  it('does not wait for connections that were opened in reserve', async () => {
    const unused = await dial();
    const halfAsked = await dial('GET / HTTP/1.1\r\nHost: x\r\n');
    await app.close();
    await Promise.all([unused.hungUp, halfAsked.hungUp]);
  });

  it('waits for a response under way, and then hangs up', async () => {
    const reserve = await dial();
    const response = fetch(`http://127.0.0.1:${port}/`);
    await asked;
    const closed = app.close();
    answer();
    expect(await (await response).json()).toEqual({ answered: true });
    await closed;
    await reserve.hungUp;
  });
});
