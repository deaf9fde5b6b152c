/** Injection token of the {@link WebSocketOptions}. */
export const WebSocketOptions = Symbol('WebSocketOptions');

/** Bounds of the WebSocket door. */
export interface WebSocketOptions {
  /** Origins whose pages may connect, such as `https://learn.example`. Absent: all; a token is needed anyway. */
  readonly origins?: readonly string[];
  /** Connections of one tenant to this process. */
  readonly connectionsPerTenant: number;
  /** Requests under way on one connection. */
  readonly requestsPerConnection: number;
  /** Largest message of a client; a larger one closes the connection with 1009. */
  readonly maxMessageBytes: number;
  /** Messages a client may get wrong before its connection is closed with 1008. */
  readonly maxInvalidMessages: number;
  /** A client is asked this often whether it is there, and given up when it has not said so by the next time. */
  readonly heartbeatMs: number;
  /** No answer goes on while more than this waits to be sent; its text is joined meanwhile. */
  readonly pauseAboveBytes: number;
  /** A client that makes more than this wait, by not reading what it asks for, is closed with 1013. */
  readonly maxBufferedBytes: number;
  /** How long requests under way may take once the process is told to end. */
  readonly drainMs: number;
  /** How long a client may take to answer the end of its connection. */
  readonly closeMs: number;
}

export const WEB_SOCKET_DEFAULTS: Omit<WebSocketOptions, 'origins'> = {
  connectionsPerTenant: 1_000,
  requestsPerConnection: 16,
  maxMessageBytes: 256 * 1024,
  maxInvalidMessages: 16,
  heartbeatMs: 30_000,
  pauseAboveBytes: 64 * 1024,
  maxBufferedBytes: 4 * 1024 * 1024,
  drainMs: 5_000,
  closeMs: 1_000,
};
