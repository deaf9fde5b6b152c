import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, type Socket } from 'node:net';
import type { ModuleMetadata } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { parseEnvironment } from '@sparkle/runtime';
import { createApi } from '../src/http/http-server.js';
import { ProblemFilter } from '../src/http/problem.filter.js';

class TestModule {}

export interface HttpApp {
  readonly address: string;
  readonly port: number;
  /** A bare connection, from which nothing is read. */
  connect(): Promise<Socket>;
  close(): Promise<void>;
}

/** Serves `parts` as the api serves its own, on a port of its own. */
export async function startHttpApp(parts: ModuleMetadata, documentMaxBytes = 1_000): Promise<HttpApp> {
  const config = {
    ...parseEnvironment({}, { embedded: true }),
    documentMaxBytes,
    logLevel: 'fatal' as const,
  };
  const providers = [...(parts.providers ?? []), { provide: APP_FILTER, useClass: ProblemFilter }];
  const app = await createApi({ module: TestModule, ...parts, providers }, config);
  await app.listen(0, '127.0.0.1');
  const { port } = app.getHttpServer().address() as AddressInfo;
  return {
    port,
    address: `http://127.0.0.1:${port}`,
    connect: async () => {
      const socket = connect(port, '127.0.0.1');
      await once(socket, 'connect');
      return socket.on('error', () => {});
    },
    close: () => app.close(),
  };
}
