import {
  type AskCall,
  answeredOf,
  type Credentials,
  type Door,
  type Outcome,
  problemOf,
  type SayCall,
} from './door.js';

/** `POST` with one JSON document for an answer. */
export class JsonDoor implements Door {
  readonly name: string = 'HTTP';

  constructor(protected readonly address: string) {}

  ask({ token, signal, ...body }: AskCall): Promise<Outcome> {
    return this.post('/v1/answers', body, { token, signal });
  }

  say({ conversationId, content, idempotencyKey, ...credentials }: SayCall): Promise<Outcome> {
    const headers: Record<string, string> =
      idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey };
    return this.post(`/v1/conversations/${conversationId}/messages`, { content }, credentials, headers);
  }

  close(): void {}

  protected async post(
    path: string,
    body: object,
    credentials: Credentials,
    headers: Record<string, string> = {},
  ): Promise<Outcome> {
    const response = await this.send(path, body, credentials, headers);
    const rateLimit = response.headers.get('ratelimit') ?? undefined;
    const reply = await response.json();
    return response.ok
      ? { answered: answeredOf(reply), rateLimit, events: [] }
      : { problem: problemOf(reply), rateLimit, events: [] };
  }

  protected send(
    path: string,
    body: object,
    { token, signal }: Credentials,
    headers: Record<string, string>,
  ): Promise<Response> {
    return fetch(this.address + path, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...headers,
      },
      body: JSON.stringify(body),
      ...(signal && { signal }),
    });
  }
}

/** The same with server-sent events. */
export class SseDoor extends JsonDoor {
  override readonly name = 'SSE';

  protected override async post(
    path: string,
    body: object,
    credentials: Credentials,
    headers: Record<string, string> = {},
  ): Promise<Outcome> {
    const response = await this.send(path, body, credentials, { ...headers, accept: 'text/event-stream' });
    const rateLimit = response.headers.get('ratelimit') ?? undefined;
    if (!response.ok) return { problem: problemOf(await response.json()), rateLimit, events: [] };
    const events = (await response.text())
      .trim()
      .split('\n\n')
      .map((frame) => {
        const [, type, data] = /^event: (.*)\ndata: (.*)$/.exec(frame)!;
        return { type: type!, data: JSON.parse(data!) };
      });
    const last = events.pop()!;
    return last.type === 'error'
      ? { problem: problemOf(last.data), rateLimit, events }
      : { answered: answeredOf(last.data), rateLimit, events };
  }
}
