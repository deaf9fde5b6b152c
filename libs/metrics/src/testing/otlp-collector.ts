import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A span as a collector received it. */
export interface CollectedSpan {
  readonly service: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for the first span of a trace. */
  readonly parentSpanId: string;
  readonly name: string;
  /** 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  readonly kind: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly failed: boolean;
}

/** `refusing` answers 503, `stalled` reads and never answers. */
export type CollectorMood = 'taking' | 'refusing' | 'stalled';

/** Stands in for an OpenTelemetry collector: takes traces over OTLP/HTTP as JSON (OTLP 1.x) and keeps them. */
export class OtlpCollector {
  readonly spans: CollectedSpan[] = [];
  /** Headers of every export. */
  readonly requests: IncomingMessage['headers'][] = [];
  mood: CollectorMood = 'taking';

  private constructor(
    private readonly server: Server,
    /** Where spans are posted. */
    readonly endpoint: string,
  ) {}

  /** @param port default: any that is free. */
  static async start(port = 0): Promise<OtlpCollector> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    const { port: bound } = server.address() as AddressInfo;
    const collector = new OtlpCollector(server, `http://127.0.0.1:${bound}/v1/traces`);
    server.on('request', (request, response) => void collector.take(request, response));
    return collector;
  }

  /** The collector's address without the path. */
  get base(): string {
    return new URL(this.endpoint).origin;
  }

  /** All spans of a trace, earliest first. */
  trace(traceId: string): CollectedSpan[] {
    return this.spans.filter((span) => span.traceId === traceId).sort((a, b) => a.startMs - b.startMs);
  }

  /** Ends the server at once, connections under way included. */
  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  private async take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    this.requests.push(request.headers);
    if (this.mood === 'stalled') return;
    if (this.mood === 'refusing') {
      response.writeHead(503).end();
      return;
    }
    const isTraces = request.method === 'POST' && request.url === '/v1/traces';
    if (!isTraces || request.headers['content-type'] !== 'application/json') {
      response.writeHead(isTraces ? 415 : 404).end();
      return;
    }
    this.spans.push(...spansOf(JSON.parse(Buffer.concat(chunks).toString()) as TracesRequest));
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  }
}

interface AttributeJson {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}

/** `ExportTraceServiceRequest` of opentelemetry-proto, in its JSON form. */
interface TracesRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly AttributeJson[] };
    readonly scopeSpans: readonly {
      readonly spans: readonly {
        readonly traceId: string;
        readonly spanId: string;
        readonly parentSpanId?: string;
        readonly name: string;
        readonly kind: number;
        readonly startTimeUnixNano: string;
        readonly endTimeUnixNano: string;
        readonly attributes?: readonly AttributeJson[];
        readonly status?: { readonly code?: number };
      }[];
    }[];
  }[];
}

const ERROR_STATUS = 2;

function spansOf({ resourceSpans }: TracesRequest): CollectedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const service = String(attributesOf(resource.attributes)['service.name']);
    return scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        service,
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId ?? '',
        name: span.name,
        kind: span.kind,
        startMs: Number(BigInt(span.startTimeUnixNano) / 1000n) / 1000,
        endMs: Number(BigInt(span.endTimeUnixNano) / 1000n) / 1000,
        attributes: attributesOf(span.attributes ?? []),
        failed: span.status?.code === ERROR_STATUS,
      })),
    );
  });
}

function attributesOf(list: readonly AttributeJson[]): Record<string, unknown> {
  return Object.fromEntries(
    list.map(({ key, value }) => {
      const [kind, held] = Object.entries(value)[0] ?? [];
      return [key, kind === 'intValue' ? Number(held) : held];
    }),
  );
}
