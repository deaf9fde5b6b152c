import type { PermitOperation } from '../../lua/permit.scripts.js';
import type { PermitPool } from '../../ports/permit-store.port.js';

/** So many operations are run by one call: it holds Redis up for long. */
const MAX_OPERATIONS = 32;

/** What one operation came to. Without a permit, `fencingToken` and `expiresAtMs` are 0. */
export interface OperationResult {
  readonly outcome: number;
  readonly fencingToken: number;
  readonly expiresAtMs: number;
  readonly nowMs: number;
  /** Milliseconds until a permit may come free by itself; `undefined` when none is held. */
  readonly nextExpiryMs: number | undefined;
}

export interface OperationCaller {
  resolve(result: OperationResult): void;
  reject(error: unknown): void;
}

/** Operations on one pool that go to the store together and run one after the other. */
export class PermitBatch {
  readonly operations: PermitOperation[number][] = [];
  private readonly callers: OperationCaller[] = [];

  constructor(readonly pool: PermitPool) {}

  /** Whether an operation on `pool` may go into this batch. */
  takes({ permits, leaseMs }: PermitPool): boolean {
    return (
      this.callers.length < MAX_OPERATIONS && this.pool.permits === permits && this.pool.leaseMs === leaseMs
    );
  }

  add(operation: PermitOperation, caller: OperationCaller): void {
    this.operations.push(operation[0], operation[1], operation[2], operation[3]);
    this.callers.push(caller);
  }

  /** Hands each operation its part of the script's reply. */
  resolve(reply: readonly number[]): void {
    const nowMs = reply[0]!;
    const nextExpiryMs = reply[1]! < 0 ? undefined : reply[1]!;
    let at = 2;
    for (const caller of this.callers) {
      const [outcome, fencingToken, expiresAtMs] = [reply[at]!, reply[at + 1]!, reply[at + 2]!];
      caller.resolve({ outcome, fencingToken, expiresAtMs, nowMs, nextExpiryMs });
      at += 3;
    }
  }

  reject(error: unknown): void {
    for (const caller of this.callers) caller.reject(error);
  }
}
