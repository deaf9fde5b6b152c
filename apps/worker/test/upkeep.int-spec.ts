import { randomUUID } from 'node:crypto';
import { Logger } from '@nestjs/common';
import type { SemanticCache } from '@sparkle/cache';
import { parseTenantId } from '@sparkle/contracts';
import {
  MemoryArchiveStore,
  MonthlyPartitions,
  PartitionRetention,
  PartitionUpkeep,
} from '@sparkle/database';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import { graphragMigrations, type JobQueue, JobService, type JobTicket } from '@sparkle/graphrag';
import { type JobPayload, JobQueues, postgresQueueBackend, TenantRegistry } from '@sparkle/runtime';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { MaintenanceProcessor } from '../src/processors/maintenance.processor.js';
import { Upkeep } from '../src/runner/upkeep.js';
import { PlannerStatistics } from '../src/upkeep/planner-statistics.js';

describe('upkeep', () => {
  let test: TestDatabase;
  let queues: JobQueues;
  let maintenance: MaintenanceProcessor;
  let archives: MemoryArchiveStore;

  beforeAll(() => Logger.overrideLogger(false));
  afterAll(() => Logger.overrideLogger(true));

  beforeEach(async () => {
    test = await createTestDatabase({ migrations: graphragMigrations });
    queues = new JobQueues(postgresQueueBackend(test.url));
    const answers: Pick<SemanticCache, 'removeExpired'> = {
      removeExpired: async () => 0,
    };
    const jobQueue: JobQueue = { enqueue: (ticket) => queues.add('ingestion', ticket.jobId, ticket) };
    maintenance = new MaintenanceProcessor(
      new JobService(test.database, test.database),
      jobQueue,
      upkeepOfStudyRecords(),
      new TenantRegistry(test.database, false),
      answers as SemanticCache,
      new PlannerStatistics(test.database),
      queues,
    );
  });

  afterEach(async () => {
    await queues?.onApplicationShutdown();
    await test?.drop();
  });

  const upkeepOfStudyRecords = () => {
    archives = new MemoryArchiveStore();
    const partitions = new MonthlyPartitions(test.database, {
      table: 'study_records',
      column: 'study_time',
    });
    return new PartitionUpkeep(partitions, new PartitionRetention(partitions, archives, { keepMonths: 12 }));
  };
  const run = (
    task: JobPayload<'maintenance'>['task'],
    signal: AbortSignal = new AbortController().signal,
  ): Promise<void> => maintenance.process({ task }, { number: 1, isLast: true, signal, report: () => {} });

  const addRow = async (state: string, idleSeconds = 0): Promise<JobTicket> => {
    const ticket = {
      tenantId: parseTenantId('demo'),
      jobId: randomUUID(),
      kind: 'ingestion' as const,
      subjectId: randomUUID(),
    };
    await test.database.asSystem(async (sql) => {
      await sql.query("INSERT INTO tenants (id, name) VALUES ('demo', 'demo') ON CONFLICT DO NOTHING");
      await sql.query(
        `INSERT INTO jobs (tenant_id, id, kind, subject_id, state, updated_at)
         VALUES ('demo', $1, 'ingestion', $2, $3, now() - $4 * interval '1 second')`,
        [ticket.jobId, ticket.subjectId, state, idleSeconds],
      );
    });
    return ticket;
  };

  it('enqueues at start, once, what an earlier process left unfinished and nothing else', async () => {
    const lost = [await addRow('queued'), await addRow('running')];
    await addRow('completed');
    await addRow('failed');
    const upkeep = new Upkeep(queues, maintenance);
    await upkeep.onApplicationBootstrap();
    await upkeep.onApplicationBootstrap();
    expect((await queues.depths()).ingestion.waiting).toBe(lost.length);
    const taken: unknown[] = [];
    const worker = queues.startWorker('ingestion', async (job) => void taken.push(job.data), {
      concurrency: 1,
    });
    await new Promise<void>((resolve) => {
      worker.on('completed', () => {
        if (taken.length === lost.length) resolve();
      });
    });
    expect(taken).toEqual(expect.arrayContaining(lost));
  });

  it('schedules each repeated job once, however many workers start', async () => {
    await new Upkeep(queues, maintenance).onApplicationBootstrap();
    await new Upkeep(queues, maintenance).onApplicationBootstrap();
    const { maintenance: sweeps, warmup } = await queues.depths();
    expect(sweeps.waiting + sweeps.delayed).toBe(5);
    expect(warmup.waiting + warmup.delayed).toBe(2);
  });

  it('schedules the repeated jobs although what was left behind cannot be read', async () => {
    maintenance.recoverJobs = () => Promise.reject(new Error('the database is down'));
    await new Upkeep(queues, maintenance).onApplicationBootstrap();
    const { maintenance: sweeps } = await queues.depths();
    expect(sweeps.waiting + sweeps.delayed).toBe(5);
  });

  it('leaves jobs alone in a sweep that have moved within the last minute', async () => {
    await addRow('queued', 10);
    await addRow('running', 10);
    await addRow('queued', 120);
    await run('lost-jobs');
    expect((await queues.depths()).ingestion.waiting).toBe(1);
    await run('lost-jobs');
    expect((await queues.depths()).ingestion.waiting).toBe(1);
  });

  it('makes the partitions of the coming months', async () => {
    await run('partitions');
    const partitions = await test.database.asSystem((sql) =>
      sql.query(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'study_records'::regclass",
      ),
    );
    expect(partitions.length).toBeGreaterThanOrEqual(5);
  });

  it('puts study records into the partitions of their months, and archives the old ones', async () => {
    await test.createTenant('demo');
    const monthsAgo = async (months: number) => {
      await test.database.asSystem((sql) =>
        sql.query(
          `INSERT INTO study_records (tenant_id, id, user_id, activity, duration_seconds, study_time)
           VALUES ('demo', $1, 'ada', 'reading', 60, now() - $2 * interval '1 month')`,
          [randomUUID(), months],
        ),
      );
    };
    await monthsAgo(5);
    await monthsAgo(20);
    await run('partitions');
    const places = await test.database.asSystem((sql) =>
      sql.query<{ place: string }>('SELECT tableoid::regclass::text AS place FROM study_records'),
    );
    expect(places).toEqual([{ place: expect.stringMatching(/^study_records_\d{4}_\d{2}$/) }]);
    expect(await archives.names()).toHaveLength(2);
  });

  it('begins no change of partitions once the worker is shutting down', async () => {
    await expect(run('partitions', AbortSignal.abort(new Error('shutting down')))).rejects.toThrow(
      'shutting down',
    );
    const partitions = await test.database.asSystem((sql) =>
      sql.query("SELECT 1 FROM pg_inherits WHERE inhparent = 'study_records'::regclass"),
    );
    expect(partitions).toHaveLength(1);
  });

  it('tells the planner how many rows a partitioned table has', async () => {
    await test.createTenant('demo');
    await test.database.asSystem((sql) =>
      sql.query(
        `INSERT INTO study_records (tenant_id, id, user_id, activity, duration_seconds, study_time)
         SELECT 'demo', gen_random_uuid(), 'ada', 'reading', 60, now() FROM generate_series(1, 50)`,
      ),
    );
    await run('statistics');
    const [table] = await test.database.asSystem((sql) =>
      sql.query<{ reltuples: number }>("SELECT reltuples FROM pg_class WHERE relname = 'study_records'"),
    );
    expect(table?.reltuples).toBe(50);
  });

  it('deletes the expired answers of the other tenants although one of them fails', async () => {
    await test.createTenant('a');
    await test.createTenant('b');
    const seen: string[] = [];
    const { answers } = maintenance as unknown as {
      answers: { removeExpired: (id: string) => Promise<number> };
    };
    answers.removeExpired = async (id) => {
      seen.push(id);
      if (id === 'a') throw new Error('no luck');
      return 0;
    };
    await expect(run('expired-answers')).rejects.toThrow('no luck');
    expect(seen).toEqual(['a', 'b']);
  });
});
