import { randomUUID } from 'node:crypto';
import { Logger } from '@nestjs/common';
import type { SemanticCache } from '@sparkle/cache';
import { parseTenantId, type TenantId } from '@sparkle/contracts';
import {
  MemoryArchiveStore,
  MonthlyPartitions,
  PartitionRetention,
  PartitionUpkeep,
} from '@sparkle/database';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import { graphragMigrations, type JobQueue, JobService, type JobTicket } from '@sparkle/graphrag';
import { JobQueues, postgresQueueBackend, TenantRegistry } from '@sparkle/runtime';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { MaintenanceProcessor } from '../src/processors/maintenance.processor.js';
import { Upkeep } from '../src/runner/upkeep.js';

describe('upkeep', () => {
  let test: TestDatabase;
  let queues: JobQueues;
  let purged: TenantId[];
  let maintenance: MaintenanceProcessor;
  let archives: MemoryArchiveStore;

  beforeAll(() => Logger.overrideLogger(false));
  afterAll(() => Logger.overrideLogger(true));

  beforeEach(async () => {
    test = await createTestDatabase({ migrations: graphragMigrations });
    queues = new JobQueues(postgresQueueBackend(test.url));
    purged = [];
    const answers: Pick<SemanticCache, 'removeExpired'> = {
      removeExpired: async (tenantId) => {
        purged.push(tenantId);
        return 0;
      },
    };
    const jobQueue: JobQueue = { enqueue: (ticket) => queues.add('ingestion', ticket.jobId, ticket) };
    maintenance = new MaintenanceProcessor(
      new JobService(test.database, test.database),
      jobQueue,
      upkeepOfStudyRecords(),
      new TenantRegistry(test.database, false),
      answers as SemanticCache,
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
  const sweep = (signal = new AbortController().signal) =>
    maintenance.process({}, { number: 1, isLast: true, signal });

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
    const worker = queues.startWorker('ingestion', async (job) => void taken.push(job.data), 1);
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
    for (const { waiting, delayed } of [sweeps, warmup]) expect(waiting + delayed).toBe(1);
  });

  it('schedules the repeated jobs although what was left behind cannot be read', async () => {
    maintenance.recoverJobs = () => Promise.reject(new Error('the database is down'));
    await new Upkeep(queues, maintenance).onApplicationBootstrap();
    const { maintenance: sweeps } = await queues.depths();
    expect(sweeps.waiting + sweeps.delayed).toBe(1);
  });

  it('leaves jobs alone in a sweep that have moved within the last minute', async () => {
    await addRow('queued', 10);
    await addRow('running', 10);
    await addRow('queued', 120);
    await sweep();
    expect((await queues.depths()).ingestion.waiting).toBe(1);
    await sweep();
    expect((await queues.depths()).ingestion.waiting).toBe(1);
    expect(purged).toEqual(['demo', 'demo']);
  });

  it('makes the partitions of the coming months', async () => {
    await sweep();
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
    await sweep();
    const places = await test.database.asSystem((sql) =>
      sql.query<{ place: string }>('SELECT tableoid::regclass::text AS place FROM study_records'),
    );
    expect(places).toEqual([{ place: expect.stringMatching(/^study_records_\d{4}_\d{2}$/) }]);
    expect(await archives.names()).toHaveLength(2);
  });

  it('begins no change of partitions once the worker is shutting down', async () => {
    await expect(sweep(AbortSignal.abort(new Error('shutting down')))).rejects.toThrow('shutting down');
    const partitions = await test.database.asSystem((sql) =>
      sql.query("SELECT 1 FROM pg_inherits WHERE inhparent = 'study_records'::regclass"),
    );
    expect(partitions).toHaveLength(1);
  });

  it('sweeps the other tenants although one of them fails', async () => {
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
    await expect(sweep()).rejects.toThrow('no luck');
    expect(seen).toEqual(['a', 'b']);
  });
});
