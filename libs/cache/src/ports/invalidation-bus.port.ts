import type { TenantId } from '@sparkle/contracts';

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

/** Carries messages to every *other* process; the sender does not hear its own. Delivery is best effort. */
export interface InvalidationBus {
  /** Whether messages of others are reaching this process now. */
  readonly connected: boolean;
  /** Resolves when the message is on its way. */
  publish(message: BusMessage): Promise<void>;
  /** Calls `listener` for each message of another process until the returned function is called. */
  subscribe(listener: (message: BusMessage) => void): () => void;
  /** Calls `listener` whenever {@link connected} changes. */
  onConnection(listener: (connected: boolean) => void): () => void;
}

/** Injection token of the {@link InvalidationBus} port. */
export const InvalidationBus = Symbol('InvalidationBus');
