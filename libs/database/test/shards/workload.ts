import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { SqlClient, TenantId } from '@sparkle/contracts';
import { type Random, SeededRandom } from '@sparkle/contracts';
import { expect } from 'vitest';
import type { IsolationLevel, Shards } from '../../src/index.js';
import type { ShardCluster } from './shard-cluster.js';

/** A conversation as it must be: its title and the contents of its messages. */
interface Conversation {
  readonly title: string;
  readonly messages: readonly string[];
}

/** Thrown by work on purpose: nothing of it may stay. */
class Undone extends Error {}

const ISOLATIONS: readonly (IsolationLevel | undefined)[] = [undefined, 'REPEATABLE READ', 'SERIALIZABLE'];

/**
 * Changes conversations of one tenant at random and knows what must be there: what was acknowledged, exactly.
 * A change that failed may have happened or not, and nothing in between; the writer looks which, and goes on.
 */
export class Writer {
  readonly conversations = new Map<string, Conversation>();
  acknowledged = 0;
  failed = 0;
  private readonly random: Random;
  private stopped = false;

  constructor(
    private readonly shards: Shards,
    readonly tenant: TenantId,
    seed: number,
  ) {
    this.random = new SeededRandom(seed);
  }

  /** Writes until {@link stop}. */
  async run(): Promise<void> {
    while (!this.stopped) await this.change();
  }

  stop(): void {
    this.stopped = true;
  }

  /** One random change. */
  async change(): Promise<void> {
    const ids = [...this.conversations.keys()];
    const dice = this.random.next();
    const id = ids.length < 4 || (dice < 0.2 && ids.length < 40) ? randomUUID() : this.pick(ids);
    const before = this.conversations.get(id);
    const after = this.next(before, dice);
    const isolation = this.pick(ISOLATIONS);
    try {
      await this.shards.router.withKey(
        this.tenant,
        this.tenant,
        async (tx) => {
          await apply(tx, this.tenant, id, before, after);
          if (dice > 0.95) throw new Undone();
        },
        { ...(isolation && { isolation }), retries: 20 },
      );
      this.note(id, after);
      this.acknowledged++;
    } catch (error) {
      if (error instanceof Undone) return;
      this.failed++;
      this.note(id, await this.settle(id, before, after, error));
    }
  }

  private next(before: Conversation | undefined, dice: number): Conversation | undefined {
    if (!before) return { title: `new ${dice}`, messages: [] };
    if (dice < 0.3) return undefined;
    if (dice < 0.6) return { title: `title ${dice}`, messages: before.messages };
    if (dice < 0.8 || before.messages.length === 0)
      return { ...before, messages: [...before.messages, `message ${dice}`] };
    return { ...before, messages: before.messages.map((text, seq) => (seq === 0 ? `edited ${dice}` : text)) };
  }

  private note(id: string, conversation: Conversation | undefined): void {
    if (conversation) this.conversations.set(id, conversation);
    else this.conversations.delete(id);
  }

  /** What became of a change without an answer. Keeps asking while nobody can tell. */
  private async settle(
    id: string,
    before: Conversation | undefined,
    after: Conversation | undefined,
    failure: unknown,
  ): Promise<Conversation | undefined> {
    for (let attempt = 0; attempt < 200; attempt++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      const found = await this.shards.router
        .withKey(this.tenant, this.tenant, (tx) => read(tx, id))
        .catch(() => 'unknown' as const);
      if (found === 'unknown') continue;
      expect([before, after], `after ${String(failure)}`).toContainEqual(found);
      return found;
    }
    throw new Error(`the shard of ${this.tenant} did not come back`, { cause: failure });
  }

  private pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.random.next() * from.length)]!;
  }
}

async function apply(
  tx: SqlClient,
  tenant: TenantId,
  id: string,
  before: Conversation | undefined,
  after: Conversation | undefined,
): Promise<void> {
  expect(await read(tx, id)).toEqual(before);
  if (!after) {
    await tx.query('DELETE FROM conversations WHERE id = $1', [id]);
    return;
  }
  if (!before)
    await tx.query(`INSERT INTO conversations (tenant_id, id, user_id, title) VALUES ($1, $2, 'ada', $3)`, [
      tenant,
      id,
      after.title,
    ]);
  else if (before.title !== after.title)
    await tx.query('UPDATE conversations SET title = $2 WHERE id = $1', [id, after.title]);
  for (const [seq, content] of after.messages.entries()) {
    if (before?.messages[seq] === content) continue;
    await tx.query(
      `INSERT INTO messages (tenant_id, conversation_id, seq, id, role, content)
       VALUES ($1, $2, $3, gen_random_uuid(), 'user', $4)
       ON CONFLICT (tenant_id, conversation_id, seq) DO UPDATE SET content = excluded.content`,
      [tenant, id, seq, content],
    );
  }
}

async function read(tx: SqlClient, id: string): Promise<Conversation | undefined> {
  const [found] = await tx.query<Conversation>(
    `SELECT title, ARRAY(SELECT content FROM messages m WHERE m.conversation_id = c.id ORDER BY seq) AS messages
     FROM conversations c WHERE id = $1`,
    [id],
  );
  return found;
}

/**
 * What must hold when every move has ended: each bucket has one owner, the one in the catalogue; no shard has a
 * row of a bucket that is not its own, or a note; and each writer's conversations are exactly what it knows.
 */
export async function expectIntact(cluster: ShardCluster, writers: readonly Writer[]): Promise<void> {
  const owned = await cluster.everywhere<{ bucket: number; epoch: number }>(
    `SELECT bucket, epoch::int FROM shard_ownership WHERE state = 'owned'`,
  );
  const owners = owned
    .flatMap(([shard, rows]) => rows.map((row) => ({ ...row, shard })))
    .sort((a, b) => a.bucket - b.bucket);
  const catalogue = await cluster
    .server('a')
    .query('SELECT bucket, epoch::int, shard FROM shard_buckets ORDER BY bucket');
  expect(owners).toEqual(catalogue);
  expect(owners).toHaveLength(cluster.buckets);
  expect(await cluster.server('a').query('SELECT * FROM bucket_moves')).toEqual([]);
  expect(await cluster.everywhere('SELECT * FROM shard_changes')).toEqual([]);
  expect(
    await cluster.everywhere(
      `SELECT bucket, state FROM shard_ownership WHERE state NOT IN ('owned', 'gone')`,
    ),
  ).toEqual([]);
  for (const [table, key] of [
    ['tenants', 'id'],
    ['conversations', 'tenant_id'],
    ['messages', 'tenant_id'],
  ])
    expect(
      await cluster.everywhere(
        `SELECT ${key} AS key FROM ${table} WHERE shard_bucket(${key}) NOT IN
           (SELECT bucket FROM shard_ownership WHERE state = 'owned')`,
      ),
    ).toEqual([]);
  for (const { tenant, conversations } of writers) {
    const found = await cluster.everywhere<Conversation & { id: string }>(
      `SELECT id, title, ARRAY(SELECT content FROM messages m
          WHERE m.tenant_id = c.tenant_id AND m.conversation_id = c.id ORDER BY seq) AS messages
       FROM conversations c WHERE tenant_id = $1 ORDER BY id`,
      [tenant],
    );
    const rows = found.flatMap(([, list]) => list);
    const expected = [...conversations].map(([id, one]) => ({ id, ...one }));
    expect(rows).toEqual(expected.sort((a, b) => (a.id < b.id ? -1 : 1)));
  }
}

/** Starts a fixture in a process of its own; `lines` are what it prints. */
export function startProcess(fixture: string, argument: object) {
  const child = spawn(
    process.execPath,
    [
      '--conditions=@sparkle/source',
      '--import',
      '@swc-node/register/esm-register',
      new URL(`./${fixture}`, import.meta.url).pathname,
      JSON.stringify(argument),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'], cwd: new URL('../..', import.meta.url).pathname },
  );
  return { child, lines: createInterface({ input: child.stdout! }) };
}

/** Ends a process at once, as the kernel does when memory runs out. */
export async function killProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
