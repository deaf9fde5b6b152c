import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { CacheProcess, Ledger } from './cache-processes.js';
import { cacheCommands, commandCalls, type Deployment, deployments } from './deployments.js';

const CALLERS = 250;
const LEASE_MS = 1_500;

describe.each(deployments)('four processes on $name', ({ start }) => {
  let deployment: Deployment;
  let ledger: Ledger;
  let processes: CacheProcess[];

  beforeAll(async () => {
    [deployment, ledger] = await Promise.all([start(), Ledger.open()]);
    const settings = { address: deployment.address, ledger: ledger.url, shiftMs: 0 };
    processes = await Promise.all(Array.from({ length: 4 }, () => CacheProcess.start(settings)));
    await vi.waitFor(
      async () => {
        for (const each of processes) expect(await each.connected()).toBe(true);
      },
      { timeout: 10_000 },
    );
  });
  afterAll(async () => {
    for (const each of processes ?? []) await each.kill();
    await ledger?.close();
    await deployment?.stop();
  });

  const scopes = () => deployment.tenants.map((tenantId) => ({ tenantId, namespace: 'flights' }));
  const scope = () => scopes()[0]!;

  /** Everyone asks at once; `asked` resolves when all calls are on their way. */
  function ask(task: Parameters<CacheProcess['getOrSet']>[0], asked = processes) {
    const calls = asked.map((each) => each.getOrSet(task));
    return {
      asked: Promise.all(calls.map((call) => call.asked)),
      outcomes: Promise.all(calls.map((call) => call.outcomes)).then((outcomes) => outcomes.flat()),
    };
  }

  it('answer a thousand concurrent callers of a cold key with one load', async () => {
    await Promise.all(
      scopes().map(async (each) => {
        const id = `cold ${each.tenantId}`;
        const { asked, outcomes } = ask({
          scope: each,
          key: 'cold',
          callers: CALLERS,
          load: { id, gated: true, value: id },
        });
        await asked;
        await ledger.openGate(id);
        expect(await outcomes).toEqual(Array.from({ length: 4 * CALLERS }, () => id));
        expect(await ledger.starts(id)).toHaveLength(1);
      }),
    );
  });

  it('wait for a load without asking Redis again, however long it takes', async () => {
    const load = { id: 'patience', gated: true, value: 'worth it' };
    const { asked, outcomes } = ask({
      scope: scope(),
      key: 'patience',
      callers: CALLERS,
      load,
      options: { leaseMs: 60_000 },
    });
    await asked;
    await vi.waitFor(async () => expect(await ledger.starts(load.id)).toHaveLength(1));
    const beats = async () => (await commandCalls(deployment)).get('publish') ?? 0;
    const pass = async (count: number) => {
      const from = await beats();
      await vi.waitFor(async () => expect(await beats()).toBeGreaterThanOrEqual(from + count), {
        timeout: 20_000,
      });
    };
    // Two heartbeats of each process: whoever was about to ask for the lease has done so.
    await pass(8);
    const before = await cacheCommands(deployment);
    await pass(40);
    expect(await cacheCommands(deployment)).toBe(before);
    await ledger.openGate(load.id);
    expect(new Set(await outcomes)).toEqual(new Set(['worth it']));
    expect(await ledger.starts(load.id)).toHaveLength(1);
  });

  it('tell all callers of a wave of its failure, and call the loader once per wave', async () => {
    await Promise.all(
      scopes().map(async (each) => {
        for (const wave of [1, 2, 3]) {
          const id = `failure ${each.tenantId} ${wave}`;
          const { asked, outcomes } = ask({
            scope: each,
            key: 'failure',
            callers: CALLERS,
            load: { id, gated: true, throws: `database down ${wave}` },
          });
          await asked;
          await ledger.openGate(id);
          const reasons = await outcomes;
          expect(reasons).toHaveLength(4 * CALLERS);
          for (const reason of reasons) expect(reason).toContain(`database down ${wave}`);
          expect(await ledger.starts(id)).toHaveLength(1);
        }
      }),
    );
  });

  it('never run two failing loaders of a key at one time, whenever callers come and give up', async () => {
    const load = { id: 'storm', throws: 'down' };
    const { outcomes } = ask({ scope: scope(), key: 'storm', callers: 10, rounds: 25, load });
    const reasons = await outcomes;
    expect(reasons).toHaveLength(4 * 10 * 25);
    for (const reason of reasons) expect(reason).toContain('down');
    expect(await ledger.peak(load.id)).toBe(1);
  });

  it('serve the value in its grace period instead of the error, of one failed load', async () => {
    const options = { ttlMs: 1, graceMs: 60_000, graceRetryMs: 60_000 };
    const [first] = processes as [CacheProcess];
    await first.set(scope(), 'grace', 'old', options);
    await vi.waitFor(async () =>
      expect(await first.peek(scope(), 'grace')).toMatchObject({ state: 'stale' }),
    );
    const load = { id: 'grace', gated: true, throws: 'down' };
    const { asked, outcomes } = ask({ scope: scope(), key: 'grace', callers: CALLERS, load, options });
    await asked;
    await ledger.openGate(load.id);
    expect(await outcomes).toEqual(Array.from({ length: 4 * CALLERS }, () => 'old'));
    expect(await ledger.starts(load.id)).toHaveLength(1);
  });

  it('settle everyone who waits for a cold key that is deleted meanwhile, and keep nothing older', async () => {
    const [first, second, ...others] = processes as [CacheProcess, CacheProcess, ...CacheProcess[]];
    const old = { id: 'deleted', gated: true, value: 'old' };
    const before = ask({ scope: scope(), key: 'deleted', callers: CALLERS, load: old });
    await before.asked;
    await vi.waitFor(async () => expect(await ledger.starts(old.id)).toHaveLength(1));
    expect(await second.delete(scope(), 'deleted')).toBe('applied');
    const fresh = { id: 'deleted, again', value: 'new' };
    const after = ask({ scope: scope(), key: 'deleted', callers: CALLERS, load: fresh }, [second]);
    expect(new Set(await after.outcomes)).toEqual(new Set(['new']));
    await ledger.openGate(old.id);
    const seen = await before.outcomes;
    expect(seen).toHaveLength(4 * CALLERS);
    for (const value of seen) expect(['old', 'new']).toContain(value);
    expect(await ledger.starts(fresh.id)).toHaveLength(1);
    for (const each of [first, second, ...others]) expect(await each.get(scope(), 'deleted')).toBe('new');
  });

  it('replace a rebuilder that was killed, once and within one lease', async () => {
    const load = { id: 'orphan', gated: true, value: 'from a survivor' };
    const task = { scope: scope(), key: 'orphan', callers: CALLERS, load, options: { leaseMs: LEASE_MS } };
    const calls = processes.map((each) => ({ each, ...each.getOrSet(task) }));
    await Promise.all(calls.map(({ asked }) => asked));
    const [started] = await vi.waitFor(async () => {
      const starts = await ledger.starts(load.id);
      expect(starts).toHaveLength(1);
      return starts;
    });
    const victim = processes.find(({ pid }) => pid === started?.pid);
    await victim?.kill();
    await ledger.noteKill(load.id, victim?.pid ?? 0);
    const successor = await vi.waitFor(
      async () => {
        const [, second] = await ledger.starts(load.id);
        expect(second).toBeDefined();
        return second!;
      },
      { timeout: 10_000 },
    );
    await ledger.openGate(load.id);
    const survivors = calls.filter(({ each }) => each !== victim);
    for (const { outcomes } of survivors)
      expect(await outcomes).toEqual(Array.from({ length: CALLERS }, () => 'from a survivor'));
    expect(await ledger.starts(load.id)).toHaveLength(2);
    expect(await ledger.peak(load.id)).toBe(1);
    const killed = (await ledger.entries(load.id)).find(({ event }) => event === 'killed');
    // The lease was renewed at the latest when its holder died: a second one would have run out after twice that.
    expect(successor.at - (killed?.at ?? 0)).toBeLessThan(2 * LEASE_MS);
    expect(processes.flatMap(({ unhandled }) => unhandled)).toEqual([]);
  });
});
