import { parseTenantId, type TenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryCacheStore } from '../src/adapters/memory/memory-cache.store.js';
import { MemoryBusHub, MemoryInvalidationBus } from '../src/adapters/memory/memory-invalidation.bus.js';
import { MemorySemanticStore } from '../src/adapters/memory/memory-semantic.store.js';
import { CacheService } from '../src/core/cache.service.js';
import type { LoaderContext } from '../src/core/cache-call.js';
import { SemanticCache, type SemanticScope } from '../src/semantic/semantic.cache.js';
import { deferred, settle } from './cluster.js';

const scope: SemanticScope = {
  tenantId: parseTenantId('acme'),
  model: 'm',
  systemPromptHash: 's',
  toolsHash: 't',
  parametersHash: 'p',
  corpusVersion: 1,
};
const QUESTION = 'What are the methods that optimise training?';
const PARAPHRASE = 'What are related methods that optimise training completely?';

/** Finds all questions alike, so that only the gates can tell them apart. */
const embedder = {
  id: 'alike',
  dimensions: 2,
  embed: async (_tenantId: TenantId, _text: string) => Float32Array.of(1, 0),
};

/** Several processes over the same stores, and a model whose calls end when the test says so. */
function setUp(size = 1) {
  const clock = new TestClock();
  const hub = new MemoryBusHub();
  const entries = new MemoryCacheStore(clock);
  const store = new MemorySemanticStore({ clock });
  const processes = Array.from({ length: size }, () => {
    const cache = new CacheService({ store: entries, bus: new MemoryInvalidationBus(hub), clock });
    return new SemanticCache({ cache, store, embedder, clock });
  });
  const calls: { signal: AbortSignal; answer: (text: string) => void; ended: () => boolean }[] = [];
  const model = ({ signal }: LoaderContext) => {
    const { promise, resolve, reject } = deferred<{ answer: string }>();
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    let over = false;
    const answer = (text: string) => {
      over = true;
      resolve({ answer: text });
    };
    calls.push({ signal, answer, ended: () => over });
    return promise;
  };
  /** Asks in the n-th process; `leave` is the client going away. */
  const ask = (question = QUESTION, process = 0) => {
    const client = new AbortController();
    const answer = processes[process]!.getOrAnswer<string>(question, scope, model, { signal: client.signal });
    answer.catch(() => undefined);
    return { answer, leave: () => client.abort(new Error('the client left')) };
  };
  const rest = async () => {
    for (let turn = 0; turn < 2; turn += 1) await settle(clock);
  };
  return { clock, processes, calls, ask, rest };
}

describe('when clients leave', () => {
  it('one of two, the other is answered, and the one that left need not wait', async () => {
    const { ask, calls, rest } = setUp();
    const [first, second] = [ask(), ask()];
    await rest();
    first.leave();
    await expect(first.answer).rejects.toThrow('the client left');
    expect(calls[0]!.signal.aborted).toBe(false);
    calls[0]!.answer('sugar');
    expect(await second.answer).toMatchObject({ answer: 'sugar' });
    expect(calls).toHaveLength(1);
  });

  it('all of them, the model call is cancelled and nothing is stored', async () => {
    const { ask, calls, rest, processes } = setUp();
    const asked = [ask(), ask(), ask()];
    await rest();
    for (const { leave } of asked) leave();
    expect(calls[0]!.signal.aborted).toBe(true);
    await processes[0]!.drain();
    expect(await processes[0]!.lookup({ scope, question: QUESTION })).toBeUndefined();
    const next = ask();
    await rest();
    expect(calls).toHaveLength(2);
    calls[1]!.answer('sugar');
    expect(await next.answer).toMatchObject({ answer: 'sugar', cache: 'miss' });
  });

  it('the one that asked first, who asked the same in other words is answered by the same call', async () => {
    const { ask, calls, rest } = setUp();
    const first = ask();
    await rest();
    const paraphrase = ask(PARAPHRASE);
    await rest();
    first.leave();
    await rest();
    expect(calls).toHaveLength(1);
    expect(calls[0]!.signal.aborted).toBe(false);
    calls[0]!.answer('sugar');
    expect(await paraphrase.answer).toMatchObject({ answer: 'sugar', cache: 'semantic' });
  });

  it('those of every wording, the call is cancelled', async () => {
    const { ask, calls, rest } = setUp();
    const first = ask();
    await rest();
    const paraphrase = ask(PARAPHRASE);
    await rest();
    first.leave();
    paraphrase.leave();
    await rest();
    expect(calls[0]!.signal.aborted).toBe(true);
  });

  it('those of one process, another process that waited for it asks the model itself', async () => {
    const { ask, calls, rest } = setUp(2);
    const here = ask(QUESTION, 0);
    await rest();
    const elsewhere = ask(QUESTION, 1);
    await rest();
    expect(calls).toHaveLength(1);
    here.leave();
    await rest();
    expect(calls.map(({ signal }) => signal.aborted)).toEqual([true, false]);
    calls[1]!.answer('sugar');
    expect(await elsewhere.answer).toMatchObject({ answer: 'sugar' });
  });

  it('before they are heard, no model is asked', async () => {
    const { processes } = setUp();
    const gone = { signal: AbortSignal.abort(new Error('gone')) };
    const load = () => Promise.reject(new Error('asked'));
    await expect(processes[0]!.getOrAnswer(QUESTION, scope, load, gone)).rejects.toThrow('gone');
  });

  it('a model that does not listen holds up nobody who asks later', async () => {
    const { processes, rest } = setUp();
    const client = new AbortController();
    const deaf = () => new Promise<never>(() => undefined);
    const left = processes[0]!.getOrAnswer(QUESTION, scope, deaf, { signal: client.signal });
    left.catch(() => undefined);
    await rest();
    client.abort();
    const next = await processes[0]!.getOrAnswer(QUESTION, scope, async () => ({ answer: 'sugar' }));
    expect(next).toMatchObject({ answer: 'sugar', cache: 'miss' });
  });

  it('after the answer, it is stored all the same', async () => {
    const { ask, calls, rest, processes } = setUp();
    const only = ask();
    await rest();
    calls[0]!.answer('sugar');
    await only.answer;
    only.leave();
    await processes[0]!.drain();
    expect(await processes[0]!.lookup({ scope, question: QUESTION })).toMatchObject({ answer: 'sugar' });
  });

  it('in any order, in two processes and two wordings, whoever stays is answered and no call goes on for nobody', async () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ do: fc.constant('ask' as const), at: fc.nat(3) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('leave' as const), at: fc.nat(7) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('answer' as const), at: fc.nat(3) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('rest' as const), at: fc.constant(0) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 16 }), async (steps) => {
        const { ask, calls, rest } = setUp(2);
        const asked: (ReturnType<typeof ask> & { left?: true })[] = [];
        for (const { do: what, at } of steps) {
          if (what === 'ask') asked.push(ask(at % 2 === 0 ? QUESTION : PARAPHRASE, at >> 1));
          else if (what === 'answer') calls[at]?.answer('sugar');
          else if (what === 'rest') await rest();
          else if (asked[at]) {
            asked[at].leave();
            asked[at].left = true;
          }
        }
        const staying = asked.filter(({ left }) => !left);
        for (let round = 0; round < 4; round += 1) {
          await rest();
          if (staying.length > 0) for (const { answer } of calls) answer('sugar');
        }
        for (const { answer } of staying) expect(await answer).toMatchObject({ answer: 'sugar' });
        if (asked.length > 0 && staying.length === 0) {
          await rest();
          const open = calls.map(({ signal, ended }) => signal.aborted || ended());
          expect(open).not.toContain(false);
        }
      }),
      { numRuns: 60 },
    );
  });
});
