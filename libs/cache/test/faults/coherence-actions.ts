import type { TenantId } from '@sparkle/contracts';
import fc from 'fast-check';
import type { CacheCallOptions } from '../../src/core/cache-call.js';
import { LoaderFailedElsewhereError } from '../../src/errors.js';
import type { Cell, CoherenceModel, Invalidation, Member } from './coherence-model.js';

/** What a client does: a kind of operation, in which process, on which cell, and how it wants values kept. */
export interface Action {
  readonly kind: (typeof KINDS)[number];
  readonly member: number;
  readonly cell: number;
  readonly ttlMs: number;
  readonly graceMs: number;
  readonly staleWhileRevalidate: boolean;
  /** Whether tags are known before the value is. */
  readonly lateTags: boolean;
  readonly loaderFails: boolean;
}

const KINDS = [
  ...Array.from({ length: 6 }, () => 'load' as const),
  ...(['load many', 'load many', 'get', 'get', 'peek', 'set', 'set'] as const),
  ...(['delete', 'delete', 'delete by tag', 'delete by tag', 'clear namespace', 'clear tenant'] as const),
] as const;

export function actionOf(members: number): fc.Arbitrary<Action> {
  return fc.record({
    kind: fc.constantFrom(...KINDS),
    member: fc.nat({ max: members - 1 }),
    cell: fc.nat({ max: 2 }),
    ttlMs: fc.constantFrom(1_000, 60_000, 60_000),
    graceMs: fc.constantFrom(0, 0, 60_000),
    staleWhileRevalidate: fc.boolean(),
    lateTags: fc.boolean(),
    loaderFails: fc.constantFrom(true, false, false, false, false),
  });
}

/** Three cells of one tenant that share keys and tags in every way. */
export function cellsOf(tenantId: TenantId): readonly [Cell, Cell, Cell] {
  const courses = { tenantId, namespace: 'courses' };
  const people = { tenantId, namespace: 'people' };
  return [
    { scope: courses, key: 'a', tags: ['t', 'u'] },
    { scope: courses, key: 'b', tags: ['t'] },
    { scope: people, key: 'a', tags: ['t'] },
  ];
}

const LOADER_ERROR = 'the loader is down';

/** Does what actions say, each read and change checked by the model. */
export class Actor {
  private readonly lock = new ChangeLock();

  constructor(
    private readonly members: readonly Member[],
    private readonly cells: readonly [Cell, Cell, Cell],
    private readonly model: CoherenceModel,
    /** Lets others go on, for as long as the schedule says. */
    private readonly pause: () => Promise<void>,
  ) {}

  async perform(action: Action): Promise<void> {
    const { model } = this;
    const { cache } = this.members[action.member]!;
    const cell = this.cells[action.cell]!;
    const { scope, key } = cell;
    const options = optionsOf(action, cell);
    switch (action.kind) {
      case 'get':
        return model.read(action.member, cell, () => cache.get<number>(scope, key));
      case 'peek':
        return model.read(action.member, cell, async () => (await cache.peek<number>(scope, key))?.value);
      case 'load':
        return model.read(action.member, cell, () =>
          withoutLoaderErrors(cache.getOrSet(scope, key, () => this.load(cell, action), options)),
        );
      case 'load many': {
        const [a, b] = this.cells;
        const many = withoutLoaderErrors(
          Promise.resolve().then(() =>
            cache.getMany(a.scope, [a.key, b.key], () => this.loadMany([a, b], action), {
              ...options,
              tags: ['t', 'u'],
            }),
          ),
        );
        await Promise.all(
          [a, b].map((each) => model.read(action.member, each, async () => (await many)?.get(each.key))),
        );
        return;
      }
      case 'set':
        return this.lock.alone(() =>
          model.change(action.member, { kind: 'keys', ...scope, keys: [key] }, (versions) =>
            cache.set(scope, key, versions.get(cell) ?? 0, options),
          ),
        );
      case 'delete':
        return this.invalidate(action.member, { kind: 'keys', ...scope, keys: [key] }, () =>
          cache.delete(scope, key),
        );
      case 'delete by tag': {
        const [tag = ''] = action.lateTags ? cell.tags : cell.tags.slice(-1);
        return this.invalidate(action.member, { kind: 'tags', ...scope, tags: [tag] }, () =>
          cache.deleteByTag(scope, tag),
        );
      }
      case 'clear namespace':
        return this.invalidate(action.member, { kind: 'namespace', ...scope }, () => cache.clear(scope));
      case 'clear tenant':
        return this.invalidate(action.member, { kind: 'tenant', tenantId: scope.tenantId }, () =>
          cache.clear({ tenantId: scope.tenantId }),
        );
    }
  }

  private invalidate(member: number, change: Invalidation, run: () => Promise<string>): Promise<void> {
    return this.lock.shared(() =>
      this.model.change(member, change, async () => {
        const outcome = await run();
        if (outcome !== 'applied') throw new Error(`An invalidation was ${outcome} without any fault.`);
      }),
    );
  }

  private async load(cell: Cell, { loaderFails }: Action): Promise<number> {
    await this.pause();
    const version = this.model.current(cell);
    await this.pause();
    if (loaderFails) throw new Error(LOADER_ERROR);
    return version;
  }

  private async loadMany(cells: readonly Cell[], action: Action): Promise<Map<string, number>> {
    const versions = await Promise.all(
      cells.map(async (cell) => [cell.key, await this.load(cell, action)] as const),
    );
    return new Map(versions);
  }
}

function optionsOf(action: Action, { tags }: Cell): CacheCallOptions<number> {
  const { ttlMs, graceMs, staleWhileRevalidate, lateTags } = action;
  return { ttlMs, graceMs, staleWhileRevalidate, tags: lateTags ? () => tags : tags };
}

async function withoutLoaderErrors<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof LoaderFailedElsewhereError) return undefined;
    if (error instanceof Error && error.message === LOADER_ERROR) return undefined;
    throw error;
  }
}

/** Invalidations may overlap with each other; a set has the cells to itself, as a writer has its row. */
class ChangeLock {
  private exclusive: Promise<unknown> | undefined;
  private readonly sharing = new Set<Promise<unknown>>();

  async shared<T>(work: () => Promise<T>): Promise<T> {
    while (this.exclusive) await this.exclusive;
    const running = work();
    this.sharing.add(running);
    const done = () => this.sharing.delete(running);
    running.then(done, done);
    return running;
  }

  async alone(work: () => Promise<void>): Promise<void> {
    while (this.exclusive) await this.exclusive;
    const running = Promise.allSettled(this.sharing).then(work);
    this.exclusive = running.catch(() => undefined);
    try {
      await running;
    } finally {
      this.exclusive = undefined;
    }
  }
}
