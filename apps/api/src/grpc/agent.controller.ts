import { Metadata, type ServerUnaryCall, type ServerWritableStream } from '@grpc/grpc-js';
import { Controller, Inject, Logger } from '@nestjs/common';
import { GrpcMethod, RpcException } from '@nestjs/microservices';
import type { Principal } from '@sparkle/contracts';
import { RequestRecorder, runInSpan } from '@sparkle/metrics';
import { Observable } from 'rxjs';
import { AGENT_OPERATIONS, Agent, type AskRequest, askRequest, type Saying } from '../answers/agent.js';
import { Gateway, type Operation } from '../gateway/gateway.js';
import {
  RequestCancelledError,
  RequestInvalidError,
  ServerClosingError,
  UserMismatchError,
} from '../http/errors.js';
import { problemOf } from '../http/problem.filter.js';
import { ZodPipe } from '../http/zod.pipe.js';
import { CallsUnderWay } from './calls-under-way.js';
import { grpcError } from './grpc-problem.js';
import {
  answerMessage,
  chatEvent,
  conversationMessage,
  type MessageRequest,
  readBeginRequest,
  readMessageRequest,
} from './messages.js';

const SERVICE = 'sparkle.agent.v1.AgentService';
/** Nest finds a service by its name within the package. */
const NAME = 'AgentService';

type UnaryCall = ServerUnaryCall<unknown, object>;
type StreamCall = ServerWritableStream<unknown, object>;

/** Questions and conversations as gRPC calls: proto/sparkle/agent/v1/agent.proto. */
@Controller()
export class AgentController {
  private readonly logger = new Logger(AgentController.name);

  constructor(
    @Inject(Gateway) private readonly gateway: Gateway,
    @Inject(Agent) private readonly agent: Agent,
    @Inject(RequestRecorder) private readonly recorder: RequestRecorder,
    @Inject(CallsUnderWay) private readonly calls: CallsUnderWay,
  ) {}

  @GrpcMethod(NAME, 'Ask')
  ask(message: unknown, _metadata: Metadata, call: UnaryCall): Promise<object> {
    const work = async (caller: Principal, { question, saying, metadata }: Asked, signal: AbortSignal) =>
      answerMessage(
        await (question ? this.agent.ask(caller, question, signal) : this.agent.say(caller, saying, signal)),
        metadata,
      );
    return this.serve('Ask', call, () => readMessage(message), work);
  }

  @GrpcMethod(NAME, 'Chat')
  chat(message: unknown, _metadata: Metadata, call: StreamCall): Observable<never> {
    const work = async (caller: Principal, { question, saying, metadata }: Asked, signal: AbortSignal) => {
      const events = question
        ? this.agent.askEvents(caller, question, signal)
        : this.agent.sayEvents(caller, saying, signal);
      for await (const event of events) {
        const sent = chatEvent(event, metadata);
        if (sent) await write(call, sent, signal);
      }
    };
    // Nest would take each value as fast as it comes; writing here waits for the client.
    return new Observable((subscriber) => {
      this.serve('Chat', call, () => readMessage(message), work).then(
        () => subscriber.complete(),
        (error: unknown) => subscriber.error(error),
      );
    });
  }

  @GrpcMethod(NAME, 'BeginConversation')
  begin(message: unknown, _metadata: Metadata, call: UnaryCall): Promise<object> {
    const read = () => ({ ...readBeginRequest(message), operation: AGENT_OPERATIONS.begin });
    return this.serve('BeginConversation', call, read, async (caller, { title }) =>
      conversationMessage(await this.agent.begin(caller, title)),
    );
  }

  /** One call: who asks, what for, may they, the work in their context, and what became of it. */
  private async serve<Request extends Readable, Reply>(
    method: string,
    call: UnaryCall | StreamCall,
    read: () => Request,
    work: (caller: Principal, request: Request, signal: AbortSignal) => Promise<Reply>,
  ): Promise<Reply> {
    const label = `${SERVICE}/${method}`;
    const streamed = method === 'Chat';
    const end = this.recorder.begin({ transport: 'grpc', method, route: SERVICE });
    const controller = new AbortController();
    const cancel = () => controller.abort(new RequestCancelledError());
    if (call.cancelled) cancel();
    else call.once('cancelled', cancel);
    const leave = this.calls.enter(cancel);
    let caller: Principal | undefined;
    let limits = new Metadata();
    try {
      if (!leave) throw new ServerClosingError();
      const reply = await runInSpan(label, { kind: 'server', carrier: traceOf(call.metadata) }, async () => {
        const [authorization] = call.metadata.get('authorization');
        const { principal } = await this.gateway.identify(authorization?.toString());
        caller = principal;
        const request = read();
        if (request.userId !== undefined && request.userId !== principal.userId)
          throw new UserMismatchError();
        await this.gateway.admit(principal, request.operation, (headers) => {
          limits = metadataOf(headers);
        });
        call.sendMetadata(limits);
        return this.gateway.run(principal, label, () => work(principal, request, controller.signal));
      });
      end({ statusCode: 200, streamed, tenantId: caller?.tenantId });
      return reply;
    } catch (error) {
      const { status, code } = problemOf(error);
      if (status >= 500) this.logger.error(`${label} failed`, error);
      const aborted = controller.signal.aborted;
      end({ statusCode: status, errorType: code, aborted, streamed, tenantId: caller?.tenantId });
      const failure = grpcError(error);
      for (const [name, value] of Object.entries(limits.getMap())) failure.metadata.set(name, value);
      throw new RpcException(failure);
    } finally {
      call.off('cancelled', cancel);
      leave?.();
    }
  }
}

/** A message of a client that was read: what it names its user, and what it counts against. */
interface Readable {
  readonly userId?: string | undefined;
  readonly operation: Operation;
}

/** A question of its own, or something said in a conversation. */
type Asked = Readable & { readonly metadata: MessageRequest['metadata'] } & (
    | { readonly question: AskRequest; readonly saying?: undefined }
    | { readonly question?: undefined; readonly saying: Saying }
  );

/** @throws RequestInvalidError */
function readMessage(value: unknown): Asked {
  const { conversationId, message, idempotencyKey, retrieval, userId, metadata } = readMessageRequest(value);
  if (conversationId !== undefined) {
    const saying = { conversationId, content: message, idempotencyKey };
    return { userId, metadata, operation: AGENT_OPERATIONS.say, saying };
  }
  try {
    const question = new ZodPipe(askRequest).transform({ question: message, ...retrieval });
    return { userId, metadata, operation: AGENT_OPERATIONS.ask, question };
  } catch (error) {
    if (!(error instanceof RequestInvalidError)) throw error;
    const nameHere = (path: string) => (path === 'question' ? 'message' : `retrieval.${path}`);
    throw new RequestInvalidError(
      error.issues.map(({ path, message }) => ({ path: nameHere(path), message })),
    );
  }
}

/** Resolves when the client can take more, or has left. */
async function write(call: StreamCall, message: object, signal: AbortSignal): Promise<void> {
  if (call.write(message) || signal.aborted) return;
  await new Promise<void>((resolve) => {
    const done = () => {
      call.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    call.on('drain', done);
    signal.addEventListener('abort', done);
  });
}

function metadataOf(headers: ReadonlyMap<string, string>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of headers) metadata.set(name.toLowerCase(), value);
  return metadata;
}

function traceOf(metadata: Metadata): Record<string, string | undefined> {
  const first = (name: string) => metadata.get(name)[0]?.toString();
  return { traceparent: first('traceparent'), tracestate: first('tracestate') };
}
