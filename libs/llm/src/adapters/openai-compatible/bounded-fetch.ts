import { LlmBadResponseError } from '../../errors.js';

/**
 * `fetch` for calls of a model: a response that is longer than `maxBytes` fails while it is read, and a web page,
 * as proxies send it with status 200, at once; both are bad responses. A redirect is not followed, for it would
 * take the prompt to an address nobody configured.
 */
export function boundedFetch(model: string, maxBytes: number): typeof fetch {
  return async (input, init) => {
    const response = await fetch(input, { ...init, redirect: 'manual' });
    if (response.ok && response.headers.get('content-type')?.startsWith('text/html')) {
      await response.body?.cancel();
      throw new LlmBadResponseError(model, 'it is a web page');
    }
    if (!response.body) return response;
    let left = maxBytes;
    const bounded = response.body.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          left -= chunk.byteLength;
          if (left < 0)
            controller.error(new LlmBadResponseError(model, `it is longer than ${maxBytes} bytes`));
          else controller.enqueue(chunk);
        },
      }),
    );
    return new Response(bounded, {
      status: response.status,
      statusText: response.statusText,
      headers: response.headers,
    });
  };
}
