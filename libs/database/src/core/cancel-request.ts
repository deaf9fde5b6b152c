import { connect, type Socket } from 'node:net';
import type pg from 'pg';

const CANCEL_REQUEST_CODE = 80877102;

/** The fields of a pg client that its types leave out. */
interface ConnectedClient extends pg.ClientBase {
  host: string;
  port: number;
  processID: number | null;
  secretKey: number | null;
  connection: { stream: Socket };
}

/** The socket of a client. */
export function socketOf(client: pg.ClientBase): Socket {
  return (client as ConnectedClient).connection.stream;
}

/**
 * Ends a connection at once, without a word to the server, which may be beyond listening. The pool drops the
 * client when it is given back.
 */
export function cutConnection(client: pg.Client): void {
  void client.end().catch(() => undefined);
  socketOf(client).destroy();
}

/**
 * Asks the server to cancel what `client` is executing, over a connection of its own (PostgreSQL protocol,
 * "Canceling Requests in Progress"). Resolves when the server has taken notice, could not be reached, or `signal`
 * aborts. The statement may still finish, and the cancellation may hit whatever the session runs next: a client
 * that was cancelled must not be handed to anybody else.
 */
export function cancelStatement(client: pg.ClientBase, signal: AbortSignal): Promise<void> {
  const { host, port, processID, secretKey } = client as ConnectedClient;
  if (processID === null || secretKey === null || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const socket = connect(host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port });
    const giveUp = () => socket.destroy();
    signal.addEventListener('abort', giveUp, { once: true });
    socket.once('close', () => {
      signal.removeEventListener('abort', giveUp);
      resolve();
    });
    socket.once('error', () => socket.destroy());
    socket.once('connect', () => {
      const request = Buffer.alloc(16);
      request.writeInt32BE(16, 0);
      request.writeInt32BE(CANCEL_REQUEST_CODE, 4);
      request.writeInt32BE(processID, 8);
      request.writeInt32BE(secretKey, 12);
      socket.end(request);
    });
    socket.resume();
  });
}
