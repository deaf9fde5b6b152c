import { once } from 'node:events';
import type { FastifyReply, FastifyRequest } from 'fastify';

/** One server-sent event (WHATWG HTML, section 9.2). `data` is sent as JSON. */
export interface ServerEvent {
  readonly event: string;
  readonly data: unknown;
  readonly id?: string;
}

/** True when the client asks for server-sent events rather than one JSON document. */
export function wantsEventStream(request: FastifyRequest): boolean {
  return (request.headers.accept ?? '').includes('text/event-stream');
}

/**
 * Writes events as they come, waiting while the client does not read. A client that leaves ends the
 * iteration, which cancels the work behind it.
 * @param asEvent turns a failure in mid-stream into the last event; the status line is gone by then.
 */
export async function writeEventStream(
  reply: FastifyReply,
  events: AsyncIterable<ServerEvent>,
  asEvent: (error: unknown) => ServerEvent,
): Promise<void> {
  const iterator = events[Symbol.asyncIterator]();
  // The first event decides between a stream and a problem document, so it is awaited before any header.
  let next = await iterator.next();
  reply.hijack();
  const { raw } = reply;
  const left = once(raw, 'close').then(
    () => undefined,
    () => undefined,
  );
  for (const [name, value] of Object.entries(reply.getHeaders()))
    if (value !== undefined) raw.setHeader(name, value);
  raw.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  try {
    while (!next.done && !raw.destroyed) {
      if (!raw.write(frame(next.value))) await Promise.race([once(raw, 'drain'), left]);
      const following = await Promise.race([iterator.next(), left]);
      if (following === undefined) break;
      next = following;
    }
  } catch (error) {
    if (!raw.destroyed) raw.write(frame(asEvent(error)));
  } finally {
    raw.end();
    // Not awaited: a generator waiting for a model ends only after its own cancellation.
    void iterator.return?.().catch(() => {});
  }
}

function frame({ event, data, id }: ServerEvent): string {
  return `${id ? `id: ${id}\n` : ''}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** Aborts when the client closes the connection before the response is complete. */
export function clientSignal(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  const onClose = () => {
    if (!reply.raw.writableFinished) controller.abort(new Error('the client left'));
  };
  // A client may have left while the request was being admitted.
  if (reply.raw.destroyed) onClose();
  else reply.raw.once('close', onClose);
  return controller.signal;
}
