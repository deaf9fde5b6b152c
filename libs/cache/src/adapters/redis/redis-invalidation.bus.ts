import { type Clock, parseTenantId, type Random, SystemClock, SystemRandom } from '@sparkle/contracts';
import { z } from 'zod';
import type { RedisConnection } from '../../lua/redis-script.js';
import type { BusMessage, InvalidationBus } from '../../ports/invalidation-bus.port.js';

export interface RedisInvalidationBusOptions {
  /** Connection to publish on; may be shared. */
  readonly publisher: RedisConnection;
  /** Connection for the subscription alone. */
  readonly subscriber: RedisConnection;
  /** Channel all processes of one application share. Default `sparkle:cache:bus`. */
  readonly channel?: string;
  /** How often the way through the server is tried; a silent loss is noticed within twice that. Default 1000. */
  readonly heartbeatMs?: number;
  readonly clock?: Clock;
  readonly random?: Random;
}

const tenantId = z.string().transform((value) => parseTenantId(value));
const namespace = z.string();
const envelopeSchema = z.object({
  from: z.string(),
  message: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('keys'), tenantId, namespace, keys: z.array(z.string()) }),
    z.object({ kind: z.literal('tags'), tenantId, namespace, tags: z.array(z.string()) }),
    z.object({ kind: z.literal('namespace'), tenantId, namespace }),
    z.object({ kind: z.literal('tenant'), tenantId }),
    z.object({ kind: z.literal('settled'), tenantId, namespace, key: z.string() }),
  ]),
});

/**
 * The bus on Redis Pub/Sub. It counts as connected only while a heartbeat sent through the server comes back:
 * an open socket to a server that has stopped answering is a loss too.
 */
export class RedisInvalidationBus implements InvalidationBus {
  private readonly listeners = new Set<(message: BusMessage) => void>();
  private readonly connectionListeners = new Set<(connected: boolean) => void>();
  private readonly channel: string;
  private readonly heartbeatChannel: string;
  private readonly heartbeatMs: number;
  private readonly clock: Clock;
  private readonly id: string;
  private isConnected = false;
  private awaitingBeat = false;
  private closed = false;
  private timer: { cancel(): void } | undefined;
  private readonly onReady = () => void this.start();
  private readonly onLost = () => this.setConnected(false);
  private readonly onMessage = (channel: string, text: string) => this.receive(channel, text);

  constructor(private readonly options: RedisInvalidationBusOptions) {
    const { channel = 'sparkle:cache:bus', heartbeatMs = 1_000, clock, random } = options;
    this.channel = channel;
    this.heartbeatMs = heartbeatMs;
    this.clock = clock ?? new SystemClock();
    const source = random ?? new SystemRandom();
    this.id = Array.from({ length: 4 }, () => Math.floor(source.next() * 2 ** 32).toString(36)).join('-');
    this.heartbeatChannel = `${channel}:beat:${this.id}`;
    const { subscriber } = options;
    subscriber.on('message', this.onMessage);
    subscriber.on('ready', this.onReady);
    subscriber.on('close', this.onLost);
    subscriber.on('end', this.onLost);
    if (subscriber.status === 'ready') void this.start();
  }

  get connected(): boolean {
    return this.isConnected;
  }

  async publish(message: BusMessage): Promise<void> {
    await this.options.publisher.publish(this.channel, JSON.stringify({ from: this.id, message }));
  }

  subscribe(listener: (message: BusMessage) => void): () => void {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  onConnection(listener: (connected: boolean) => void): () => void {
    this.connectionListeners.add(listener);
    return () => {
      this.connectionListeners.delete(listener);
    };
  }

  /** Leaves the connections to their owner. */
  close(): void {
    this.closed = true;
    this.timer?.cancel();
    const { subscriber } = this.options;
    subscriber.off('message', this.onMessage);
    subscriber.off('ready', this.onReady);
    subscriber.off('close', this.onLost);
    subscriber.off('end', this.onLost);
    this.setConnected(false);
  }

  private async start(): Promise<void> {
    try {
      await this.options.subscriber.subscribe(this.channel, this.heartbeatChannel);
      this.awaitingBeat = false;
      this.beat();
    } catch {
      // The connection's next `ready` starts again.
      this.setConnected(false);
    }
  }

  private beat(): void {
    if (this.closed) return;
    if (this.awaitingBeat) this.setConnected(false);
    this.awaitingBeat = true;
    this.options.publisher.publish(this.heartbeatChannel, '').catch(() => this.setConnected(false));
    this.timer?.cancel();
    this.timer = this.clock.schedule(this.heartbeatMs, () => this.beat());
  }

  private receive(channel: string, text: string): void {
    if (channel === this.heartbeatChannel) {
      this.awaitingBeat = false;
      this.setConnected(true);
      return;
    }
    if (channel !== this.channel) return;
    const envelope = parseEnvelope(text);
    if (!envelope || envelope.from === this.id) return;
    for (const listener of this.listeners) listener(envelope.message);
  }

  private setConnected(connected: boolean): void {
    if (this.isConnected === connected) return;
    this.isConnected = connected;
    for (const listener of this.connectionListeners) listener(connected);
  }
}

/** Anything else on the channel is not ours to act on. */
function parseEnvelope(text: string): z.output<typeof envelopeSchema> | undefined {
  try {
    return envelopeSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
