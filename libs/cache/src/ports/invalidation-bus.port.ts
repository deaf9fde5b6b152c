import type { TenantId } from '@sparkle/contracts';
import type { Announcement } from './cache-store.port.js';

/** What one process tells the others. Keys and tags are the caller's own, not encoded. */
export type BusMessage =
  | {
      readonly kind: 'keys';
      readonly tenantId: TenantId;
      readonly namespace: string;
      readonly keys: readonly string[];
    }
  | {
      readonly kind: 'tags';
      readonly tenantId: TenantId;
      readonly namespace: string;
      readonly tags: readonly string[];
    }
  | { readonly kind: 'namespace'; readonly tenantId: TenantId; readonly namespace: string }
  | { readonly kind: 'tenant'; readonly tenantId: TenantId }
  /** A rebuild ended, one way or another: waiters look again. */
  | {
      readonly kind: 'settled';
      readonly tenantId: TenantId;
      readonly namespace: string;
      readonly key: string;
    };

/** Something in the second tier was touched, by whomever. Keys and tags are as stores see them. */
export type Touched =
  /** These may have been written, removed or left as they were. */
  | {
      readonly kind: 'entries';
      readonly tenantId: TenantId;
      readonly namespace: string;
      readonly keys: readonly string[];
    }
  /** These have been invalidated. */
  | Extract<BusMessage, { readonly kind: 'tags' | 'namespace' | 'tenant' }>
  /** Anything may have. */
  | { readonly kind: 'everything' };

/** Carries messages to every *other* process; the sender does not hear its own. Delivery is best effort, in any order. */
export interface InvalidationBus {
  /** Whether messages of others are reaching this process now. */
  readonly connected: boolean;
  /** Resolves when the message is on its way. */
  publish(message: BusMessage): Promise<void>;
  /** The connection messages go out on; see `CacheStore.publishesThrough`. Goes with {@link announcementOf}. */
  readonly publishesThrough?: object;
  /** The message in the form in which a store can send it. */
  announcementOf?(message: BusMessage): Announcement;
  /** Calls `listener` for each message of another process until the returned function is called. */
  subscribe(listener: (message: BusMessage) => void): () => void;
  /** Calls `listener` when the second tier itself tells of writes, also of those that send no message. */
  onTouched?(listener: (touched: Touched) => void): () => void;
  /** Calls `listener` whenever {@link connected} changes. */
  onConnection(listener: (connected: boolean) => void): () => void;
}

/** Injection token of the {@link InvalidationBus} port. */
export const InvalidationBus = Symbol('InvalidationBus');
