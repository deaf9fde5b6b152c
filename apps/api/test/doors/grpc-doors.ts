import {
  type Client,
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceClientConstructor,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { AGENT_PROTO, LOADER_OPTIONS } from '../../src/grpc/grpc-server.js';
import {
  type Answered,
  type AskCall,
  type Credentials,
  type Door,
  type Outcome,
  problemOf,
  type SayCall,
  type Wire,
} from './door.js';

/** A client of the service, as proto-loader makes it. */
export function agentClient(address: string): Client & Wire {
  const loaded: Wire = loadPackageDefinition(loadSync(AGENT_PROTO, LOADER_OPTIONS));
  const Service = loaded.sparkle.agent.v1.AgentService as ServiceClientConstructor;
  return new Service(address, credentials.createInsecure());
}

export function bearer(token: string | undefined): Metadata {
  const metadata = new Metadata();
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
  return metadata;
}

export function problemOfCall(error: ServiceError): Wire {
  const [problem] = error.metadata.get('sparkle-problem');
  return problem === undefined
    ? { status: 0, code: `gRPC ${error.code}: ${error.details}` }
    : { ...JSON.parse(String(problem)), grpc: error.code };
}

/** What a unary call came to. */
export function unary(
  client: Wire,
  method: string,
  request: object,
  metadata: Metadata,
  options: object = {},
  signal?: AbortSignal,
): Promise<{ reply?: Wire; error?: ServiceError; initial: Metadata }> {
  return new Promise((resolve) => {
    let initial = new Metadata();
    const call = client[method](request, metadata, options, (error: ServiceError | null, reply: Wire) =>
      resolve(error ? { error, initial } : { reply, initial }),
    );
    call.on('metadata', (received: Metadata) => {
      initial = received;
    });
    signal?.addEventListener('abort', () => call.cancel());
  });
}

abstract class GrpcDoor implements Door {
  abstract readonly name: string;
  protected readonly client: Wire;

  constructor(address: string) {
    this.client = agentClient(address);
  }

  ask({ question, strategy, ...credentials }: AskCall): Promise<Outcome> {
    return this.call({ message: question, ...(strategy && { retrieval: { strategy } }) }, credentials);
  }

  say({ content, conversationId, idempotencyKey, ...credentials }: SayCall): Promise<Outcome> {
    return this.call({ message: content, conversationId, idempotencyKey }, credentials);
  }

  close(): void {
    this.client.close();
  }

  protected abstract call(request: object, credentials: Credentials): Promise<Outcome>;

  protected refused(error: ServiceError): Pick<Outcome, 'problem' | 'rateLimit'> {
    const { grpc: _status, ...problem } = problemOfCall(error);
    return { problem: problemOf(problem), rateLimit: error.metadata.get('ratelimit')[0]?.toString() };
  }
}

/** `AgentService.Ask`. */
export class GrpcAskDoor extends GrpcDoor {
  readonly name = 'gRPC Ask';

  protected async call(request: object, { token, signal }: Credentials): Promise<Outcome> {
    const { reply, error, initial } = await unary(this.client, 'Ask', request, bearer(token), {}, signal);
    if (error) return { ...this.refused(error), events: [] };
    return { answered: answeredOf(reply), rateLimit: initial.get('ratelimit')[0]?.toString(), events: [] };
  }
}

/** `AgentService.Chat`. */
export class GrpcChatDoor extends GrpcDoor {
  readonly name = 'gRPC Chat';

  protected call(request: object, { token, signal }: Credentials): Promise<Outcome> {
    return new Promise((resolve) => {
      const events: { type: string; data: Wire }[] = [];
      let rateLimit: string | undefined;
      const call = this.client.Chat(request, bearer(token));
      signal?.addEventListener('abort', () => call.cancel());
      call.on('metadata', (metadata: Metadata) => {
        rateLimit = metadata.get('ratelimit')[0]?.toString();
      });
      call.on('data', ({ event, ...message }: Wire) => {
        const type = event.replace(/[A-Z]/g, (letter: string) => `_${letter.toLowerCase()}`);
        events.push({ type, data: message[event] });
      });
      call.on('error', (error: ServiceError) => resolve({ ...this.refused(error), events }));
      call.on('end', () => {
        // A failed call ends its messages, too, before it tells its failure.
        if (events.at(-1)?.type !== 'answer') return;
        const last = events.pop()!;
        resolve({ answered: answeredOf(last.data), rateLimit, events });
      });
    });
  }
}

/** What is not set is empty on this wire, and absent on the others. */
function answeredOf(reply: Wire): Answered {
  const present = (value: Wire) =>
    Object.fromEntries(Object.entries(value).filter(([key, item]) => item !== '' && !key.startsWith('_')));
  const { turn } = reply;
  return {
    answer: reply.answer,
    citations: reply.citations.map(present),
    paths: reply.paths,
    supported: reply.supported,
    cache: reply.cache,
    usage: reply.usage,
    model: reply.model,
    fallback: reply.fallback,
    strategy: reply.retrieval.strategy,
    ...(turn && {
      turn: {
        conversationId: turn.conversationId,
        messageId: turn.message.id,
        replyId: turn.reply.id,
        replayed: turn.replayed,
        memory: turn.memory.strategy,
      },
    }),
  };
}
