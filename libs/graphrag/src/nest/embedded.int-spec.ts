import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseTenantId, SystemClock } from '@sparkle/contracts';
import {
  type Database,
  databaseMigrations,
  migrate,
  openDatabase,
  parseDatabaseOptions,
} from '@sparkle/database';
import { EmbeddedPostgres } from '@sparkle/database/embedded';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { graphragMigrations } from '../adapters/postgres/graphrag-migrations.js';
import { PgVectorIndex } from '../adapters/postgres/pg-vector-index.js';
import { parseGraphragOptions } from '../graphrag.options.js';
import { StudyService } from '../learn/study.service.js';
import { HashEmbeddingModel } from '../testing/hash-embedding-model.js';
import { createTestGraphragOn } from '../testing/test-graphrag.js';
import { GraphService } from './graph.service.js';

let folder: string;
let embedded: EmbeddedPostgres;
let database: Database;
const tenantId = parseTenantId('embedded');

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparkle-graphrag-'));
  embedded = await EmbeddedPostgres.start({ dataDir: folder });
  await migrate(embedded.url, [...databaseMigrations(512), ...graphragMigrations]);
  database = await openDatabase(parseDatabaseOptions({ url: embedded.url }));
  await database.asSystem((sql) => sql.query('INSERT INTO tenants (id, name) VALUES ($1, $1)', [tenantId]));
});
afterAll(async () => {
  await database?.close();
  await embedded?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

describe('on the embedded database', () => {
  it('documents arrive concurrently, are found, studied and deleted as on a server', async () => {
    const rag = createTestGraphragOn({ database });
    const graph = new GraphService(database, rag.snapshots);
    const study = new StudyService(database, new SystemClock(), parseGraphragOptions({}));
    const texts = [1, 2, 3, 4].map(
      (i) => `# Note ${i}\n\nVladimir Vapnik met Anna Number${i} at Bell Labs.\n`,
    );
    const submissions = await Promise.all(
      [...texts, ...texts].map((content) =>
        rag.documents.submit({ tenantId, userId: 'u', format: 'markdown', content }),
      ),
    );
    expect(submissions.filter((submission) => !submission.duplicate)).toHaveLength(4);
    await Promise.all(rag.queue.drain().map((ticket) => rag.ingestion.process(ticket)));
    expect(await graph.searchEntities(tenantId, 'Vladimr Vapnik')).toMatchObject([
      { name: 'Vladimir Vapnik', passages: 4 },
    ]);
    const [vector] = await new HashEmbeddingModel().embed({ tenantId, texts: ['Anna Number2'] });
    expect(await new PgVectorIndex(database, tenantId, 40).search(vector!, 4)).toHaveLength(4);
    await study.record({
      tenantId,
      userId: 'u',
      node: 'Bell Labs',
      activity: 'read',
      durationSeconds: 5,
      score: 1,
    });
    expect(await study.progress(tenantId, 'u')).toMatchObject({ mastered: 1, streakDays: 1 });
    for (const document of await rag.documents.list(tenantId))
      await rag.documents.delete(tenantId, document.id);
    expect((await rag.snapshots.current(tenantId)).snapshot.nodes).toEqual([]);
  });
});
