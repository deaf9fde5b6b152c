import { type IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type Duplex, Writable } from 'node:stream';

interface PendingUpgrade {
  readonly socket: Duplex;
  readonly head: Buffer;
}

const pending = new WeakMap<IncomingMessage, PendingUpgrade>();

/**
 * Hands WebSocket handshakes to the server's ordinary routing, so that what guards, filters and measures requests does
 * so here as well.
 *
 * A server that listens for upgrades gets every request that offers one. Clients that offer HTTP/2 (`Upgrade: h2c`, as
 * Java's does) expect an ordinary answer when the server does not take it: such a request goes back into the server
 * without its offer.
 */
export function attachUpgrades(
  server: Server,
  route: (request: IncomingMessage, response: ServerResponse) => void,
): void {
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // A client that leaves during its handshake has nobody else who listens.
    socket.on('error', () => {});
    if (request.method !== 'GET' || request.headers.upgrade?.toLowerCase() !== 'websocket') {
      socket.unshift(Buffer.concat([withoutUpgrade(request), head]));
      server.emit('connection', socket);
      return;
    }
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket as Socket);
    response.once('finish', () => {
      if (pending.delete(request)) socket.end();
    });
    pending.set(request, { socket, head });
    route(request, response);
  });
}

/** Takes a connection out of the hands of HTTP; its response counts as finished with status 101. */
export function completeUpgrade(
  request: IncomingMessage,
  response: ServerResponse,
  take: (socket: Duplex, head: Buffer) => void,
): void {
  const upgrade = pending.get(request);
  if (!upgrade) throw new TypeError('the request is no handshake');
  pending.delete(request);
  response.detachSocket(upgrade.socket as Socket);
  take(upgrade.socket, upgrade.head);
  // Whoever measures responses waits for their end: this one ends in nowhere.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  response.assignSocket(nowhere as Socket);
  response.writeHead(101).end();
}

function withoutUpgrade({ method, url, httpVersion, rawHeaders }: IncomingMessage): Buffer {
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!;
    if (!/^(?:upgrade|http2-settings|connection)$/i.test(name))
      lines.push(`${name}: ${rawHeaders[index + 1]}`);
  }
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}
