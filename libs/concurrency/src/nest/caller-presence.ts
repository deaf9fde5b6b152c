import type { EventEmitter } from 'node:events';
import type { ExecutionContext } from '@nestjs/common';

interface Connection extends EventEmitter {
  readonly destroyed?: boolean;
  readonly cancelled?: boolean;
}

/** The event by which a connection tells that the caller is gone. */
interface Presence {
  readonly connection: Connection;
  readonly event: 'close' | 'cancelled';
}

interface HttpMessage extends Connection {
  readonly raw?: HttpMessage;
  readonly socket?: Connection;
  readonly httpVersionMajor?: number;
}

function isConnection(value: unknown): value is Connection {
  return typeof (value as EventEmitter | undefined)?.once === 'function';
}

function presencesOf(context: ExecutionContext): Presence[] {
  switch (context.getType<string>()) {
    case 'http': {
      const request = context.switchToHttp().getRequest<HttpMessage | undefined>();
      const response = context.switchToHttp().getResponse<HttpMessage>();
      const connections: unknown[] = [response.raw ?? response];
      const incoming = request?.raw ?? request;
      // A pipelined response that still waits for its turn is not told that the connection is closed.
      if (incoming?.httpVersionMajor === 1) connections.push(incoming.socket);
      return connections.filter(isConnection).map((connection) => ({ connection, event: 'close' }));
    }
    case 'rpc': {
      // gRPC passes (data, metadata, call), or (call, callback) to a handler of raw streams.
      return [context.getArgByIndex<unknown>(2), context.getArgByIndex<unknown>(0)]
        .filter((argument) => isConnection(argument) && 'cancelled' in argument)
        .map((call) => ({ connection: call as Connection, event: 'cancelled' }));
    }
    default:
      // On WebSocket, Nest itself unsubscribes.
      return [];
  }
}

/** One listener per connection, because a client chooses how many requests it pipelines on one. */
const watchers = new WeakMap<Connection, Set<() => void>>();

function watch({ connection, event }: Presence, left: () => void): () => void {
  let callbacks = watchers.get(connection);
  if (!callbacks) {
    callbacks = new Set();
    watchers.set(connection, callbacks);
    const all = callbacks;
    connection.once(event, () => {
      for (const callback of all) callback();
    });
  }
  callbacks.add(left);
  return () => callbacks.delete(left);
}

/** Calls `left` once the caller has gone away, or at once when it has already. Returns how to stop listening. */
export function onCallerLeft(context: ExecutionContext, left: () => void): () => void {
  const presences = presencesOf(context);
  if (presences.some(({ connection }) => connection.destroyed || connection.cancelled)) {
    left();
    return () => {};
  }
  const stops = presences.map((presence) => watch(presence, left));
  return () => {
    for (const stop of stops) stop();
  };
}
