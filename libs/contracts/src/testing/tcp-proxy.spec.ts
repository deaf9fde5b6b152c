import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { TcpProxy } from './tcp-proxy.js';

async function proxiedEcho(): Promise<{
  proxy: TcpProxy;
  open(): Promise<{ socket: Socket; heard(): string }>;
}> {
  const server = createServer((socket) => socket.pipe(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const proxy = await TcpProxy.to(`tcp://127.0.0.1:${port}`);
  const sockets: Socket[] = [];
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await proxy.close();
    server.close();
  });
  return {
    proxy,
    async open() {
      const socket = connect(proxy.port, '127.0.0.1');
      sockets.push(socket);
      let text = '';
      socket.on('data', (data) => {
        text += data.toString();
      });
      await once(socket, 'connect');
      return { socket, heard: () => text };
    },
  };
}

describe('a proxy that answers late', () => {
  it('keeps the order of answers, also when the delay ends', async () => {
    const { proxy, open } = await proxiedEcho();
    const { socket, heard } = await open();
    proxy.delay(300);
    for (const text of ['first ', 'second ']) socket.write(text);
    await once(socket, 'data');
    proxy.delay(0);
    socket.write('third');
    await vi.waitFor(() => expect(heard()).toBe('first second third'), { timeout: 5_000 });
  });

  it('passes on nothing while stalled, and everything after', async () => {
    const { proxy, open } = await proxiedEcho();
    const { socket, heard } = await open();
    socket.write('before ');
    await vi.waitFor(() => expect(heard()).toBe('before '));
    proxy.stall();
    socket.write('meanwhile');
    proxy.resume();
    await vi.waitFor(() => expect(heard()).toBe('before meanwhile'));
  });
});
