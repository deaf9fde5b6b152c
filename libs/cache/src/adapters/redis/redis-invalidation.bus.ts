import { type Clock, parseTenantId, type Random, SystemClock, SystemRandom } from '@sparkle/contracts';
import { z } from 'zod';
import type { RedisConnection } from '../../lua/redis-script.js';
import type { Announcement } from '../../ports/cache-store.port.js';
import type { BusMessage, InvalidationBus, Touched } from '../../ports/invalidation-bus.port.js';
import { joined, ListenedBus } from '../listened-bus.js';
import { MessageNumbers } from './message-numbers.js';
import { RedisKeys } from './redis-keys.js';
import { RedisTracking } from './redis-tracking.js';
import { uniqueId } from './unique-id.js';

export interface RedisInvalidationBusOptions {
  /** Connection to publish on; may be shared. */
  readonly publisher: RedisConnection;
  /** Connection for the subscription alone. */
  readonly subscriber: RedisConnection;
  /** Channel all processes of one application share. Default `sparkle:cache:bus`. */
  readonly channel?: string;
  /** How often the way through the server is tried; a silent loss is noticed within twice that. Default 1000. */
  readonly heartbeatMs?: number;
  /**
   * Has the server tell of every write under this prefix (`CLIENT TRACKING`), so that what others write or remove
   * by hand leaves memory too. Opens one more connection like `subscriber`. Not on Redis Cluster.
   */
  readonly tracking?: { readonly keyPrefix: string } | undefined;
  readonly clock?: Clock;
  readonly random?: Random;
}

const tenantId = z.string().transform((value) => parseTenantId(value));
const namespace = z.string();
const count = z.number().int().nonnegative();
const messageSchema = z.object({
  from: z.string(),
  /** The sender's messages are numbered from 1. */
  number: count,
  message: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('keys'), tenantId, namespace, keys: z.array(z.string()) }),
    z.object({ kind: z.literal('tags'), tenantId, namespace, tags: z.array(z.string()) }),
    z.object({ kind: z.literal('namespace'), tenantId, namespace }),
    z.object({ kind: z.literal('tenant'), tenantId }),
    z.object({ kind: z.literal('settled'), tenantId, namespace, key: z.string() }),
  ]),
});
/** Sent along with a heartbeat: how many messages the sender had sent by the heartbeat before. */
const tallySchema = z.object({ from: z.string(), sentBefore: count });
const envelopeSchema = z.union([messageSchema, tallySchema]);

/**
 * The bus on Redis Pub/Sub. It counts as connected only while its latest heartbeat has come back through the
 * server: an open socket to a server that has stopped answering, or answers late, is a loss too. With `tracking`,
 * it also takes the tracking to be in place. A message that was lost though all seemed well shows within two
 * heartbeats of its sender, and counts as a loss that is over.
 */
export class RedisInvalidationBus extends ListenedBus implements InvalidationBus {
  private readonly touchedListeners = new Set<(touched: Touched) => void>();
  private readonly channel: string;
  private readonly heartbeatChannel: string;
  private readonly heartbeatMs: number;
  private readonly clock: Clock;
  private readonly id: string;
  private readonly tracking: RedisTracking | undefined;
  private beatCameBack = false;
  private awaitingBeat = false;
  private beats = 0;
  private sent = 0;
  private sentBefore = 0;
  private readonly numbers = new MessageNumbers();
  private closed = false;
  private timer: { cancel(): void } | undefined;
  private readonly onReady = () => void this.start();
  private readonly onLost = () => this.noteBeat(false);
  private readonly onMessage = (channel: string, text: string) => this.receive(channel, text);

  /** @throws CacheOptionsInvalidError for `tracking` on a cluster */
  constructor(private readonly options: RedisInvalidationBusOptions) {
    super(false);
    const { channel = 'sparkle:cache:bus', heartbeatMs = 1_000, clock, random } = options;
    const { subscriber, publisher, tracking } = options;
    this.channel = channel;
    this.heartbeatMs = heartbeatMs;
    this.clock = clock ?? new SystemClock();
    this.id = uniqueId(random ?? new SystemRandom());
    this.heartbeatChannel = `${channel}:beat:${this.id}`;
    if (tracking)
      this.tracking = new RedisTracking({
        writer: publisher,
        subscriber,
        keys: new RedisKeys(tracking.keyPrefix),
        heartbeatChannel: this.heartbeatChannel,
        clock: this.clock,
        onTouched: (touched) => {
          for (const listener of this.touchedListeners) listener(touched);
        },
        onChange: () => this.update(),
      });
    subscriber.on('message', this.onMessage);
    subscriber.on('ready', this.onReady);
    subscriber.on('close', this.onLost);
    subscriber.on('end', this.onLost);
    if (subscriber.status === 'ready') void this.start();
  }

  get publishesThrough(): object {
    return this.options.publisher;
  }

  announcementOf(message: BusMessage): Announcement {
    return { channel: this.channel, text: JSON.stringify({ from: this.id, number: ++this.sent, message }) };
  }

  async publish(message: BusMessage): Promise<void> {
    const { channel, text } = this.announcementOf(message);
    await this.options.publisher.publish(channel, text);
  }

  onTouched(listener: (touched: Touched) => void): () => void {
    return joined(this.touchedListeners, listener);
  }

  /** Leaves the connections to their owner. */
  close(): void {
    this.closed = true;
    this.timer?.cancel();
    this.tracking?.close();
    const { subscriber } = this.options;
    subscriber.off('message', this.onMessage);
    subscriber.off('ready', this.onReady);
    subscriber.off('close', this.onLost);
    subscriber.off('end', this.onLost);
    this.noteConnected(false);
  }

  private async start(): Promise<void> {
    try {
      await this.options.subscriber.subscribe(this.channel, this.heartbeatChannel);
      this.awaitingBeat = false;
      this.beat();
    } catch {
      // The connection's next `ready` starts again.
      this.noteBeat(false);
    }
  }

  private beat(): void {
    if (this.closed) return;
    if (this.awaitingBeat) this.noteBeat(false);
    this.awaitingBeat = true;
    this.tracking?.expectBeat();
    this.beats++;
    this.numbers.age();
    const { publisher } = this.options;
    publisher.publish(this.heartbeatChannel, String(this.beats)).catch(() => this.noteBeat(false));
    if (this.sentBefore > 0) {
      const tally = JSON.stringify({ from: this.id, sentBefore: this.sentBefore });
      // The next one says the same again.
      publisher.publish(this.channel, tally).catch(() => undefined);
    }
    this.sentBefore = this.sent;
    this.timer?.cancel();
    this.timer = this.clock.schedule(this.heartbeatMs, () => this.beat());
  }

  private receive(channel: string, text: string): void {
    if (channel === this.heartbeatChannel) {
      // An earlier beat tells that messages arrive, but late: invalidations may be as far behind.
      if (text !== String(this.beats)) return;
      this.awaitingBeat = false;
      this.noteBeat(true);
      return;
    }
    // Half of all messages may be this process's own; they need no parsing.
    if (channel !== this.channel || text.startsWith(`{"from":"${this.id}"`)) return;
    const envelope = parseEnvelope(text);
    if (!envelope) return;
    if ('sentBefore' in envelope) {
      if (!this.numbers.noteTally(envelope.from, envelope.sentBefore)) this.noteLoss();
      return;
    }
    this.numbers.noteMessage(envelope.from, envelope.number);
    this.tell(envelope.message);
  }

  private noteLoss(): void {
    if (!this.connected) return;
    this.noteConnected(false);
    this.update();
  }

  private noteBeat(cameBack: boolean): void {
    this.beatCameBack = cameBack;
    this.update();
  }

  private update(): void {
    this.noteConnected(!this.closed && this.beatCameBack && (this.tracking?.inPlace ?? true));
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
