import { createServer, type Server, type Socket } from 'node:net';
import { inspect } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { RedisUnreachableError } from '../errors.js';
import { connectRedis } from './redis-connection.js';

function redisUrl(): URL {
  const url = process.env.TEST_REDIS_URL;
  if (!url) throw new Error('TEST_REDIS_URL is not set; "npm test" sets it');
  return new URL(url);
}

describe('connectRedis', () => {
  const sockets = new Set<Socket>();
  let server: Server | undefined;

  afterEach(() => {
    for (const socket of sockets) socket.destroy();
    server?.close();
  });

  const listen = async (onConnection: (socket: Socket) => void) => {
    server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => sockets.delete(socket));
      onConnection(socket);
    });
    await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
    return (server.address() as { port: number }).port;
  };

  it('connects to a server that answers', async () => {
    const client = await connectRedis(redisUrl().href);
    expect(await client.ping()).toBe('PONG');
    client.disconnect();
  });

  it('says which server refused the connection', async () => {
    const failure = await connectRedis('redis://127.0.0.1:9').catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(RedisUnreachableError);
    expect(failure).toMatchObject({ code: 'REDIS_UNREACHABLE', address: '127.0.0.1:9' });
  });

  it('refuses a wrong password without showing it anywhere in the error', async () => {
    const url = redisUrl();
    url.username = 'someone';
    url.password = 'hunter2-secret';
    const failure = await connectRedis(url.href).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(RedisUnreachableError);
    expect(inspect(failure, { depth: 10, showHidden: true })).not.toContain('hunter2-secret');
  });

  it.each(['one server', 'a cluster'])(
    'gives up in time on %s that accepts and never answers',
    async (what) => {
      const port = await listen(() => {});
      const address = `redis://127.0.0.1:${port}`;
      const addresses = what === 'a cluster' ? `${address},${address}` : address;
      await expect(connectRedis(addresses, 50)).rejects.toBeInstanceOf(RedisUnreachableError);
      await new Promise<void>((resolve) => {
        const check = () =>
          sockets.size === 0 ? resolve() : [...sockets][0]!.once('close', () => setImmediate(check));
        for (const socket of sockets) socket.resume();
        check();
      });
      expect(sockets.size).toBe(0);
    },
  );

  it('gives up on a server that hangs up, and on one that speaks another protocol', async () => {
    const closing = await listen((socket) => socket.end());
    await expect(connectRedis(`redis://127.0.0.1:${closing}`, 200)).rejects.toBeInstanceOf(
      RedisUnreachableError,
    );
    server!.close();
    const http = await listen((socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await expect(connectRedis(`redis://127.0.0.1:${http}`, 200)).rejects.toBeInstanceOf(
      RedisUnreachableError,
    );
  });
});
