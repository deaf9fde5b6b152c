import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { SeededRandom } from '@sparkle/contracts';
import { RedisServer } from '@sparkle/contracts/testing';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, type Reply, RunningApp, tokenOf } from './running-app.js';

const KEY = randomBytes(32).toString('hex');
const DOCUMENTS = 60;
const MESSAGES = 1_000;
const CONVERSATIONS = 40;
const CLIENTS = 20;
const KILLS = 8;
const TENANTS = ['undisturbed', 'one', 'two'];

/** Applications of one kind, of which one after the other is killed at a random moment, until `KILLS` of them were. */
class MortalApps {
  private readonly places: Promise<void>[];
  private readonly running: (RunningApp | undefined)[];
  private ending = false;
  private begun = 0;
  kills = 0;

  private constructor(
    private readonly kind: 'api' | 'worker',
    private readonly env: Record<string, string>,
    count: number,
    private readonly lifeMs: () => number,
  ) {
    this.running = Array.from({ length: count });
    this.places = [];
  }

  static async start(
    kind: 'api' | 'worker',
    env: Record<string, string>,
    count: number,
    lifeMs: () => number,
  ): Promise<MortalApps> {
    const apps = new MortalApps(kind, env, count, lifeMs);
    await Promise.all(apps.running.map((_, place) => apps.revive(place)));
    for (let place = 0; place < count; place++) apps.places.push(apps.liveAndDie(place));
    return apps;
  }

  /** One that runs, as far as is known. */
  any(random: SeededRandom): RunningApp | undefined {
    const alive = this.running.filter((app) => app !== undefined);
    return alive[Math.floor(random.next() * alive.length)];
  }

  /** Kills no more; those that run go on. */
  async spare(): Promise<void> {
    this.ending = true;
    await Promise.all(this.places);
  }

  async stop(): Promise<(number | string)[]> {
    await this.spare();
    return Promise.all(this.running.map((app) => app?.stop() ?? 0));
  }

  private async revive(place: number): Promise<void> {
    this.running[place] = await RunningApp.start(this.kind, this.env);
  }

  private async liveAndDie(place: number): Promise<void> {
    while (!this.ending && this.begun < KILLS) {
      this.begun += 1;
      const until = Date.now() + this.lifeMs();
      while (!this.ending && Date.now() < until) await pause(20);
      if (this.ending) return;
      const app = this.running[place]!;
      this.running[place] = undefined;
      await app.stop('SIGKILL');
      this.kills += 1;
      await this.revive(place);
    }
  }
}

describe('processes killed at random moments', () => {
  let database: TestDatabase;
  let redis: RedisServer;
  let env: Record<string, string>;

  beforeAll(async () => {
    database = await createTestDatabase();
    redis = await RedisServer.start({ appendonly: 'yes', appendfsync: 'always' });
    env = {
      DATABASE_URL: database.url,
      REDIS_URL: redis.url,
      SPARKLE_REDIS_DURABLE: 'true',
      SPARKLE_JWT_KEY: KEY,
      SPARKLE_DEFAULT_PLAN:
        '{"qps":1000,"burst":2000,"permits":500,"hourly":{"user":100000,"action":100000,"tenant":100000}}',
      SPARKLE_LOG_LEVEL: 'fatal',
    };
  });

  afterAll(async () => {
    await redis?.stop();
    await database?.drop();
  });

  const rows = <Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> =>
    database.database.asSystem((sql) => sql.query<Row>(text, values));

  it('lose no document that was accepted, and write none of it twice', { timeout: 600_000 }, async () => {
    const api = await RunningApp.start('api', env);
    const random = new SeededRandom(8);
    const workers = await MortalApps.start('worker', env, 2, () => 500 + random.next() * 3_500);
    try {
      const jobs: { path: string; token: string }[] = [];
      for (const tenant of TENANTS.slice(1)) {
        const token = await tokenOf(KEY, tenant, 'alice');
        for (let n = 0; n < DOCUMENTS / 2; n++) {
          const { status, body } = await api.send('/v1/documents', { token, json: almanac(n) });
          expect(status).toBe(202);
          jobs.push({ path: `/v1/jobs/${body.jobId}`, token });
        }
      }
      for (const { path, token } of jobs)
        await eventually(
          () => api.send(path, { token }),
          (reply) => reply.body.state === 'completed',
          1800,
        );
      await workers.spare();
      expect(workers.kills).toBeGreaterThanOrEqual(4);
      // What the kills left must be what a tenant has whose documents were ingested without any.
      const token = await tokenOf(KEY, TENANTS[0]!, 'alice');
      for (let n = 0; n < DOCUMENTS / 2; n++) await api.send('/v1/documents', { token, json: almanac(n) });
      await eventually(
        () => api.send('/v1/documents?limit=200', { token }),
        (reply) =>
          reply.body.documents.length === DOCUMENTS / 2 &&
          reply.body.documents.every(({ state }: { state: string }) => state === 'ready'),
        1800,
      );
      const [expected, ...disturbed] = await Promise.all(TENANTS.map(contentsOf));
      expect(expected!.chunks.length).toBeGreaterThanOrEqual(DOCUMENTS / 2);
      for (const contents of disturbed) expect(contents).toEqual(expected);
    } finally {
      const stopped = await Promise.all([api.stop(), workers.stop()]);
      expect(stopped).toEqual([0, [0, 0]]);
    }
  });

  /** What a tenant has in the graph, but for ids and times. */
  async function contentsOf(tenant: string) {
    const [chunks, mentions, edges] = await Promise.all([
      rows(
        `SELECT d.title, c.ordinal, c.content, c.embedding IS NOT NULL AS embedded
         FROM chunks c JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
         WHERE c.tenant_id = $1 ORDER BY 1, 2`,
        [tenant],
      ),
      rows(
        `SELECT n.key, n.name, count(*)::int AS mentions FROM knowledge_nodes n
         LEFT JOIN node_mentions m ON m.tenant_id = n.tenant_id AND m.node_id = n.id
         WHERE n.tenant_id = $1 GROUP BY 1, 2 ORDER BY 1, 2`,
        [tenant],
      ),
      rows(
        `SELECT s.key AS source, e.type, t.key AS target,
           (SELECT count(*)::int FROM edge_evidence v WHERE v.tenant_id = e.tenant_id AND v.edge_id = e.id) AS evidence
         FROM knowledge_edges e
         JOIN knowledge_nodes s ON s.tenant_id = e.tenant_id AND s.id = e.source_id
         JOIN knowledge_nodes t ON t.tenant_id = e.tenant_id AND t.id = e.target_id
         WHERE e.tenant_id = $1 ORDER BY 1, 2, 3`,
        [tenant],
      ),
    ]);
    return { chunks, mentions, edges };
  }

  it('lose none of 1,000 messages, answer each once, and keep their order', {
    timeout: 600_000,
  }, async () => {
    const random = new SeededRandom(9);
    const worker = await RunningApp.start('worker', env);
    const apis = await MortalApps.start('api', env, 2, () => 2_000 + random.next() * 6_000);
    let refusals = 0;
    /** As a careful client: the same key again, at whichever process, until there is an answer. */
    const insist = async (
      path: string,
      call: Parameters<RunningApp['send']>[1],
    ): Promise<Reply | undefined> => {
      const api = apis.any(random);
      const reply = await api?.send(path, call).catch(() => undefined);
      if (reply && reply.status < 300) return reply;
      if (reply && reply.status < 500 && reply.body.code !== 'MESSAGE_IN_PROGRESS')
        throw new Error(`${reply.status} ${JSON.stringify(reply.body)}`);
      refusals += 1;
      return undefined;
    };
    try {
      const token = await tokenOf(KEY, 'talk', 'alice');
      const conversations: { id: string; next: number; key: string; notBefore: number }[] = [];
      while (conversations.length < CONVERSATIONS) {
        const made = await insist('/v1/conversations', { token, json: {} });
        if (made) conversations.push({ id: made.body.id, next: 0, key: randomUUID(), notBefore: 0 });
      }
      const idle = [...conversations];
      const each = MESSAGES / CONVERSATIONS;
      let open = CONVERSATIONS;
      const client = async () => {
        while (open > 0) {
          const at = idle.findIndex(({ notBefore }) => notBefore <= Date.now());
          const [conversation] = at < 0 ? [] : idle.splice(at, 1);
          if (!conversation) {
            await pause(20);
            continue;
          }
          const reply = await insist(`/v1/conversations/${conversation.id}/messages`, {
            token,
            json: { content: messageOf(conversation.next) },
            headers: { 'idempotency-key': conversation.key },
          });
          if (reply) {
            conversation.next += 1;
            conversation.key = randomUUID();
          } else conversation.notBefore = Date.now() + 250;
          if (conversation.next < each) idle.push(conversation);
          else open -= 1;
        }
      };
      await Promise.all(Array.from({ length: CLIENTS }, client));
      await apis.spare();
      expect(apis.kills).toBeGreaterThanOrEqual(4);
      expect(refusals).toBeGreaterThan(0);
      for (const { id } of conversations) {
        const messages = await rows<{ role: string; content: string; seq: number; reply_to: number | null }>(
          `SELECT role, content, seq, (metadata->>'replyTo')::int AS reply_to FROM messages
           WHERE tenant_id = 'talk' AND conversation_id = $1 ORDER BY seq`,
          [id],
        );
        const said = messages.filter(({ role }) => role === 'user');
        expect(said.map(({ content }) => content)).toEqual(
          Array.from({ length: each }, (_, n) => messageOf(n)),
        );
        const answers = messages.filter(({ role }) => role === 'assistant');
        expect(answers.map(({ reply_to }) => reply_to).sort((a, b) => a! - b!)).toEqual(
          said.map(({ seq }) => seq),
        );
        expect(messages.map(({ seq }) => seq)).toEqual(messages.map((_, n) => n + 1));
      }
    } finally {
      const stopped = await Promise.all([worker.stop(), apis.stop()]);
      expect(stopped).toEqual([0, [0, 0]]);
    }
  });

  it('find in the jobs table what the queue has lost: Redis killed, and Redis wiped', {
    timeout: 300_000,
  }, async () => {
    const token = await tokenOf(KEY, 'outbox', 'alice');
    const api = await RunningApp.start('api', env);
    let worker: RunningApp | undefined;
    try {
      const upload = async (n: number) => {
        const { body } = await api.send('/v1/documents', { token, json: almanac(n) });
        return body.jobId as string;
      };
      const jobs = [await upload(1), await upload(2)];
      // With appendfsync always, every job it said it has is there again.
      await redis.restart();
      const queued = await redis.command('zcard', '{sparkle:ingestion}:ingestion:prioritized');
      expect(queued).toBe('2');
      await redis.command('flushall');
      await eventually(
        () => api.send('/health/ready'),
        (reply) => reply.status === 200,
      );
      jobs.push(await upload(3));
      worker = await RunningApp.start('worker', env);
      for (const job of jobs)
        await eventually(
          () => api.send(`/v1/jobs/${job}`, { token }),
          (reply) => reply.body.state === 'completed',
          1200,
        );
    } finally {
      await Promise.all([api.stop(), worker?.stop()]);
    }
  });
});

function messageOf(n: number): string {
  return `Message ${n}: my locker number is ${n + 1}.`;
}

/** A document that shares entities with the others. */
function almanac(n: number) {
  const town = ['Aldburg', 'Brenwick', 'Corhaven'][n % 3];
  return {
    title: `Almanac ${n}`,
    format: 'markdown',
    text: `# Almanac ${n}\n\nIn ${1500 + n} the town of ${town} was governed by Mayor Quillan. Mayor Quillan founded the Guild of Weavers in ${town}. Entry ${n} was written by Ada Thorne.`,
  };
}
