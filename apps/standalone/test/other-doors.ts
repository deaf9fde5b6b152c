import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import {
  type Client,
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceClientConstructor,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { WebSocket } from 'ws';

// biome-ignore lint/suspicious/noExplicitAny: what came over the wire; tests assert what they need.
type Wire = any;

/** How a request over a WebSocket may end. */
const LAST = ['answer', 'conversation', 'error'];

/** Sends messages over one connection and gives the last reply to each, by its id. */
export async function tellWebSocket(
  address: string,
  token: string,
  messages: readonly (Readonly<Record<string, unknown>> & { readonly id: string })[],
): Promise<Record<string, Wire>> {
  const headers = { authorization: `Bearer ${token}` };
  const socket = new WebSocket(`${address.replace('http', 'ws')}/v1/ws`, { headers });
  await once(socket, 'open');
  const last: Record<string, Wire> = {};
  const done = new Promise<void>((resolve) => {
    socket.on('message', (text) => {
      const { id, ...reply } = JSON.parse(String(text));
      if (LAST.includes(reply.type)) last[id] = reply;
      if (Object.keys(last).length === messages.length) resolve();
    });
  });
  for (const message of messages) socket.send(JSON.stringify(message));
  await done;
  socket.close();
  return last;
}

/** Calls any method of the service and says what it came to. */
export class GrpcProbe {
  readonly methods: string[];
  private readonly client: Client & Wire;

  constructor(address: string) {
    const proto = new URL('../../api/proto/sparkle/agent/v1/agent.proto', import.meta.url);
    const loaded: Wire = loadPackageDefinition(
      loadSync(fileURLToPath(proto), { defaults: true, oneofs: true }),
    );
    const Service = loaded.sparkle.agent.v1.AgentService as ServiceClientConstructor;
    this.methods = Object.keys(Service.service);
    this.client = new Service(address, credentials.createInsecure());
  }

  call(method: string, request: object, token?: string): Promise<{ reply?: Wire; code?: string }> {
    const metadata = new Metadata();
    if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
    return new Promise((resolve) => {
      const refuse = (error: ServiceError) =>
        resolve({ code: String(error.metadata.get('sparkle-code')[0]) });
      if (!this.client[method].responseStream) {
        this.client[method](request, metadata, (error: ServiceError | null, reply: Wire) =>
          error ? refuse(error) : resolve({ reply }),
        );
        return;
      }
      const events: Wire[] = [];
      this.client[method](request, metadata)
        .on('data', (event: Wire) => events.push(event))
        .on('error', refuse)
        .on('status', ({ code }: { code: number }) => code === 0 && resolve({ reply: events }));
    });
  }

  close(): void {
    this.client.close();
  }
}
