import type { Clock } from '@sparkle/contracts';
import { Cluster, type Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';
import { CacheOptionsInvalidError } from '../../errors.js';
import { parseCounter, parseMark } from '../../lua/entry-format.js';
import type { RedisConnection } from '../../lua/redis-script.js';
import type { Touched } from '../../ports/invalidation-bus.port.js';
import type { ParsedKey, RedisKeys } from './redis-keys.js';

export interface RedisTrackingOptions {
  /** The connection whose writes need no news: the process's own. */
  readonly writer: RedisConnection;
  /** A connection like this one is opened for the news. */
  readonly subscriber: RedisConnection;
  readonly keys: RedisKeys;
  /** Channel on which this process's heartbeats come back. */
  readonly heartbeatChannel: string;
  readonly clock: Clock;
  readonly onTouched: (touched: Touched) => void;
  /** Called when {@link RedisTracking.inPlace} may have changed. */
  readonly onChange: () => void;
}

/** Where Redis sends its news to connections that speak RESP2. */
const NEWS_CHANNEL = '__redis__:invalidate';
const RETRY_MS = 1_000;
/** How long counters and marks that were touched are gathered before they are looked at. */
const GATHER_MS = 20;
/** Counters and marks whose value is remembered. */
const MAX_REMEMBERED = 10_000;

/**
 * Server-assisted invalidation: Redis tells of every write under the cache's prefix, whoever makes it, to a
 * connection of this class's own (`CLIENT TRACKING ON REDIRECT … BCAST`). The redirection belongs to the writer's
 * connection because of `NOLOOP`; what a script of this process writes comes back nevertheless, and a mark is
 * touched when it is merely kept for longer. So counters and marks are looked at: only one whose value is not
 * what it was, or is not known, invalidates.
 *
 * In place only while both connections are up, the server has confirmed the redirection, and heartbeats arrive
 * on the connection of the news.
 */
export class RedisTracking {
  private readonly writer: Redis;
  private readonly listener: Redis;
  private readonly remembered = new LRUCache<string, number>({ max: MAX_REMEMBERED });
  private readonly gathered = new Map<string, ParsedKey>();
  private isRedirected = false;
  private hearsBeats = true;
  private awaitingBeat = false;
  private round = 0;
  private listenerId: number | undefined;
  private closed = false;
  private readonly onLost = () => this.lose();
  private readonly onWriterReady = () => void this.redirect();

  /** @throws CacheOptionsInvalidError on a cluster */
  constructor(private readonly options: RedisTrackingOptions) {
    const { writer, subscriber } = options;
    if (writer instanceof Cluster || subscriber instanceof Cluster)
      throw new CacheOptionsInvalidError([
        'redis.tracking: not on Redis Cluster, where each node tracks for itself; leave it out',
      ]);
    this.writer = writer;
    this.listener = subscriber.duplicate({ autoResubscribe: false, lazyConnect: true });
    this.listener.on('error', () => undefined);
    this.listener.on('ready', () => void this.listen());
    this.listener.on('close', this.onLost);
    this.listener.on('messageBuffer', (channel: Buffer, news: unknown) =>
      this.hear(channel.toString(), news),
    );
    writer.on('ready', this.onWriterReady);
    writer.on('close', this.onLost);
    this.listener.connect().catch(() => undefined);
  }

  get inPlace(): boolean {
    return this.isRedirected && this.hearsBeats;
  }

  /** A heartbeat is on its way; the one before must have arrived. */
  expectBeat(): void {
    if (this.awaitingBeat && this.hearsBeats) {
      this.hearsBeats = false;
      this.options.onChange();
    }
    this.awaitingBeat = true;
  }

  close(): void {
    this.closed = true;
    this.round++;
    this.isRedirected = false;
    this.writer.off('ready', this.onWriterReady);
    this.writer.off('close', this.onLost);
    this.listener.disconnect();
    if (this.writer.status === 'ready') this.writer.call('CLIENT', 'TRACKING', 'OFF').catch(() => undefined);
  }

  /** The connection for the news is up: its id is known only before it subscribes. */
  private async listen(): Promise<void> {
    const { listener, options } = this;
    try {
      this.listenerId = await listener.client('ID');
      await listener.subscribe(NEWS_CHANNEL, options.heartbeatChannel);
      await this.redirect();
    } catch {
      // A connection that is lost comes back with another `ready`; on one that is not, nothing can be heard.
      if (listener.status === 'ready') listener.disconnect(true);
    }
  }

  private async redirect(): Promise<void> {
    const { writer, listener, listenerId, options } = this;
    const round = ++this.round;
    if (this.closed || listenerId === undefined || writer.status !== 'ready' || listener.status !== 'ready')
      return;
    try {
      // One that is left from an earlier connection for the news cannot be changed, only ended.
      await writer.call('CLIENT', 'TRACKING', 'OFF');
      await writer.call(
        'CLIENT',
        'TRACKING',
        'ON',
        'REDIRECT',
        listenerId,
        'BCAST',
        'PREFIX',
        options.keys.common,
        'NOLOOP',
      );
      if (round !== this.round) return;
      this.remembered.clear();
      this.isRedirected = true;
      this.awaitingBeat = false;
      this.hearsBeats = true;
      options.onChange();
    } catch {
      if (round === this.round) options.clock.schedule(RETRY_MS, () => void this.redirect());
    }
  }

  private lose(): void {
    this.round++;
    if (this.listener.status !== 'ready') this.listenerId = undefined;
    this.isRedirected = false;
    this.options.onChange();
  }

  private hear(channel: string, news: unknown): void {
    if (channel === this.options.heartbeatChannel) {
      this.awaitingBeat = false;
      if (this.hearsBeats) return;
      this.hearsBeats = true;
      this.options.onChange();
      return;
    }
    if (channel !== NEWS_CHANNEL) return;
    if (!Array.isArray(news)) {
      // The database was flushed, or the server has lost track.
      this.options.onTouched({ kind: 'everything' });
      return;
    }
    for (const item of news) {
      const name = String(item);
      const key = this.options.keys.parse(name);
      if (key?.kind === 'entry') this.options.onTouched({ ...key, kind: 'entries', keys: [key.key] });
      else if (key) this.gather(name, key);
    }
  }

  private gather(name: string, key: ParsedKey): void {
    if (this.gathered.size === 0) this.options.clock.schedule(GATHER_MS, () => void this.look());
    this.gathered.set(name, key);
  }

  private async look(): Promise<void> {
    const gathered = [...this.gathered];
    this.gathered.clear();
    if (this.closed) return;
    try {
      const values = await this.writer.mgetBuffer(gathered.map(([name]) => name));
      for (const [index, [name, key]] of gathered.entries()) this.judge(name, key, values[index]);
    } catch {
      this.options.onTouched({ kind: 'everything' });
    }
  }

  private judge(name: string, key: ParsedKey, value: Buffer | null | undefined): void {
    const number = key.kind === 'counter' ? parseCounter(value)?.cleared : parseMark(value);
    if (number !== undefined && number === this.remembered.get(name)) return;
    if (number === undefined) this.remembered.delete(name);
    else this.remembered.set(name, number);
    if (key.kind === 'counter') this.options.onTouched({ kind: 'tenant', tenantId: key.tenantId });
    else if (key.kind === 'mark') {
      const { tenantId, namespace, tag } = key;
      this.options.onTouched(
        tag === undefined
          ? { kind: 'namespace', tenantId, namespace }
          : { kind: 'tags', tenantId, namespace, tags: [tag] },
      );
    }
  }
}
