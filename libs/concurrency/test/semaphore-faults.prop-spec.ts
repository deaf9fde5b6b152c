import { parseTenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryPermitStore } from '../src/adapters/memory/memory-permit.store.js';
import type { Permit } from '../src/core/permit.js';
import { Semaphores } from '../src/core/semaphores.js';
import type { PermitStore } from '../src/ports/permit-store.port.js';

const leaseMs = 1000;
const timeoutMs = 3000;
const tenants = ['acme', 'beta', 'gamma'].map((id) => parseTenantId(id));
const cancelled = new Error('cancelled');
const never = new Promise<never>(() => {});

/** One process's way to the store: it may fail, lose messages, and end with the process. */
class Process {
  dead = false;
  failing = false;
  deaf = false;
  readonly semaphores: Semaphores;

  constructor(
    store: PermitStore,
    readonly ownerId: string,
    clock: TestClock,
  ) {
    const call = async <T>(work: () => Promise<T>): Promise<T> => {
      if (this.dead) return never;
      if (this.failing) throw new Error('the store is unreachable');
      const result = await work();
      return this.dead ? never : result;
    };
    const link: PermitStore = {
      ownerId,
      acquire: (request) => call(() => store.acquire(request)),
      renew: (pool, grant) => call(() => store.renew(pool, grant)),
      release: (pool, permitId) => call(() => store.release(pool, permitId)),
      sweep: (pool, ids) => call(() => store.sweep(pool, ids)),
      listen: (onGrant, onGap) =>
        store.listen((poolId, grant) => {
          if (!this.dead && !this.deaf && grant.permitId.startsWith(`${ownerId}:`)) onGrant(poolId, grant);
        }, onGap),
    };
    this.semaphores = new Semaphores(link, clock, { leaseMs, timeoutMs, maxWaiting: 1000 });
  }
}

interface Caller {
  readonly process: Process;
  readonly controller: AbortController;
  permit: Permit | undefined;
  outcome: 'waiting' | 'granted' | 'refused';
  released: boolean;
}

const commands = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant('acquire' as const), process: fc.nat(2), tenant: fc.nat(2) }),
    },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('release' as const), which: fc.nat() }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('cancel' as const), which: fc.nat() }) },
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 1500 }) }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const), process: fc.nat(2) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('fail' as const), process: fc.nat(2) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('deafen' as const), process: fc.nat(2) }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('step' as const), ms: fc.constantFrom(-60_000, 60_000) }),
    },
  ),
  { minLength: 10, maxLength: 60 },
);

describe('a semaphore whose processes crash, lose the store, miss messages and have wrong clocks', () => {
  it('is never held by more than its permits, and everybody left is served or told', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 3 }), commands, async (permits, schedule) => {
        const clock = new TestClock();
        const store = new MemoryPermitStore(clock);
        let started = 0;
        const start = () => new Process(store, `p${started++}`, clock);
        const processes = [start(), start(), start()];
        const callers: Caller[] = [];
        const tokens: number[] = [];

        const acquire = (process: Process, tenant: number) => {
          const controller = new AbortController();
          const caller: Caller = {
            process,
            controller,
            permit: undefined,
            outcome: 'waiting',
            released: false,
          };
          callers.push(caller);
          process.semaphores
            .semaphore({ name: 's', permits, scope: 'shared' })
            .acquire({ tenantId: tenants[tenant]!, signal: controller.signal })
            .then(
              (permit) => {
                caller.permit = permit;
                caller.outcome = 'granted';
                tokens.push(permit.fencingToken);
                expectFewEnough();
              },
              () => {
                caller.outcome = 'refused';
              },
            );
        };
        /** Those who act on a permit, and the dead, whose permits count until their leases end. */
        const holders = () =>
          callers.filter(({ permit, released, process }) => {
            if (!permit || released) return false;
            return process.dead ? Reflect.get(permit, 'heldUntilMs') > clock.monotonic() : permit.held;
          });
        const expectFewEnough = () => expect(holders().length).toBeLessThanOrEqual(permits);
        const living = (wanted: (caller: Caller) => boolean) =>
          callers.filter((caller) => !caller.process.dead && wanted(caller));
        const pick = <T>(from: readonly T[], which: number) => from[which % Math.max(1, from.length)];

        for (const command of schedule) {
          if (command.do === 'acquire') acquire(processes[command.process]!, command.tenant);
          else if (command.do === 'release') {
            const caller = pick(
              living(({ permit, released }) => permit !== undefined && !released),
              command.which,
            );
            if (caller) {
              caller.released = true;
              void caller.permit!.release();
            }
          } else if (command.do === 'cancel') {
            pick(
              living(({ outcome }) => outcome === 'waiting'),
              command.which,
            )?.controller.abort(cancelled);
          } else if (command.do === 'crash') {
            processes[command.process]!.dead = true;
            processes[command.process] = start();
          } else if (command.do === 'fail') {
            processes[command.process]!.failing = !processes[command.process]!.failing;
          } else if (command.do === 'deafen') {
            processes[command.process]!.deaf = !processes[command.process]!.deaf;
          } else if (command.do === 'step') clock.skewWall(command.ms);
          await clock.advance(command.do === 'pass' ? command.ms : 0);
          expectFewEnough();
        }

        // Everything works again and everybody gives back what they have: whoever waits is served or times out.
        // The memory store, which only ever has one process, lets each dead waiter have a permit for a lease, and
        // looks at the time when somebody comes.
        for (const process of processes) {
          process.failing = false;
          process.deaf = false;
        }
        for (let round = 0; round < 8 + callers.length; round++) {
          for (const caller of living(({ permit, released }) => permit !== undefined && !released)) {
            caller.released = true;
            void caller.permit!.release();
          }
          const passerBy = processes[0]!.semaphores.semaphore({ name: 's', permits, scope: 'shared' });
          void passerBy.tryAcquire({ tenantId: tenants[0]! }).then((permit) => permit?.release());
          await clock.advance(leaseMs);
          expectFewEnough();
        }
        expect(living(({ outcome }) => outcome === 'waiting')).toEqual([]);
        expect(new Set(tokens).size).toBe(tokens.length);
        for (let i = 0; i < permits; i++) acquire(processes[0]!, 0);
        await clock.advance(0);
        expect(callers.slice(-permits).map(({ outcome }) => outcome)).toEqual(
          Array.from({ length: permits }, () => 'granted'),
        );
      }),
      { numRuns: 400 },
    );
  });
});
