import { connect } from 'node:net';
import type pg from 'pg';

const CANCEL_REQUEST_CODE = 80877102;

/** The fields of a pg client that its types leave out. */
interface ConnectedClient extends pg.ClientBase {
  host: string;
  port: number;
  processID: number | null;
  secretKey: number | null;
}

/**
 * Asks the server to cancel what `client` is executing, over a connection of its own (PostgreSQL protocol,
 * "Canceling Requests in Progress"). Resolves when the server has taken notice or could not be reached. The
 * statement may still finish, and the cancellation may hit whatever the session runs next: a client that
 * was cancelled must not be handed to anybody else.
 */
export function cancelStatement(client: pg.ClientBase): Promise<void> {
  const { host, port, processID, secretKey } = client as ConnectedClient;
  if (processID === null || secretKey === null) return Promise.resolve();
  return new Promise((resolve) => {
    const socket = connect(host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port });
    socket.once('close', () => resolve());
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
