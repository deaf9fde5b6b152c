import type { INestApplicationContext } from '@nestjs/common';
import { PgvectorSemanticStore, SemanticCache, type SemanticScope } from '@sparkle/cache';
import { TenantPlans } from '@sparkle/concurrency';
import { Clock, type Principal, parseTenantId, type TenantId } from '@sparkle/contracts';
import { ChatOrchestrator, ConversationService, SummaryService } from '@sparkle/conversation';
import { BatchLoaders, Database, loadUserGraph, readUserGraph } from '@sparkle/database';
import {
  CommunityService,
  CourseLoader,
  DocumentService,
  EntityResolutionService,
  GraphragOptions,
  GraphService,
  IngestionService,
  JobService,
  LearningPathService,
  RetrievalService,
  retrieveGraph,
  retrievePlain,
  SnapshotProvider,
  StudyService,
} from '@sparkle/graphrag';
import { EmbeddingModel } from '@sparkle/llm';
import { HealthRegistry } from '@sparkle/metrics';
import { SCHEDULE, TenantRegistry } from '@sparkle/runtime';
import { type JobProcessor, PROCESSORS } from '@sparkle/worker';
import { loadSampleCourse } from '../course/sample-course.js';
import { interruptTurn } from './interrupted-turn.js';
import { tenantName } from './load-data.js';

/** Ranks of the loaded tenants that everything is done for: the largest, one in the middle, the smallest. */
const TENANTS = [1, 5, 20];

/** Rows of one tenant to work with. */
export interface Sample {
  readonly tenantId: TenantId;
  readonly userId: string;
  readonly documentId: string;
  readonly nodes: readonly { readonly id: string; readonly name: string }[];
  readonly prerequisite: string;
  readonly conversationId: string;
  readonly owner: string;
  readonly unsummarised: string;
}

/**
 * Does everything the product does, through the services its routes and workers call, for tenants of three
 * sizes. A statement of the sources that this does not reach fails the report, so that a new query cannot be
 * forgotten here.
 */
export async function driveApplication(
  app: INestApplicationContext,
  samples: readonly Sample[],
  log: (text: string) => void,
): Promise<void> {
  await app.get(HealthRegistry).check();
  for (const sample of samples) {
    const { tenantId } = sample;
    for (const [activity, work] of Object.entries(ACTIVITIES)) {
      log(`${tenantId}: ${activity}`);
      await work(app, tenantId, sample);
    }
  }
  log('operator');
  await operate(app);
  await maintain(app, log);
  log('communities once more');
  // Documents came since its communities were found: they are extended.
  await app.get(CommunityService).refresh({ tenantId: samples[0]!.tenantId });
}

type Activity = (app: INestApplicationContext, tenantId: TenantId, sample: Sample) => Promise<void>;

const ACTIVITIES: Readonly<Record<string, Activity>> = {
  'retrieval and graph': retrieve,
  learning: learn,
  conversations: converse,
  'graph over SQL': retrieveOverSql,
  'entity resolution': resolve,
  communities: summarise,
  'cached answers': cacheAnswers,
  documents: ingest,
};

async function retrieve(app: INestApplicationContext, tenantId: TenantId, sample: Sample): Promise<void> {
  const retrieval = app.get(RetrievalService);
  const [first, second] = sample.nodes;
  const question = `How is ${first!.name} related to ${second!.name}?`;
  await retrieval.retrieve({ tenantId, question, strategy: 'graph' });
  await retrieval.retrieve({ tenantId, question, strategy: 'plain' });
  const graph = app.get(GraphService);
  await graph.searchEntities(tenantId, first!.name);
  await graph.searchEntities(tenantId, '梯度');
  await graph.neighbourhood(tenantId, first!.id, { depth: 1 });
  await graph.paths(tenantId, first!.id, second!.name);
  await refused(graph.neighbourhood(tenantId, 'no such thing', { depth: 1 }));
}

/** The same for a tenant whose graph is over the bound of what is kept in memory. */
async function retrieveOverSql(
  app: INestApplicationContext,
  tenantId: TenantId,
  sample: Sample,
): Promise<void> {
  const clock = app.get<Clock>(Clock);
  const options = { ...app.get<GraphragOptions>(GraphragOptions), snapshotMaxTenantBytes: 1 };
  const database = app.get(Database);
  const snapshots = new SnapshotProvider(database, clock, options);
  const [first, second] = sample.nodes;
  const questions = [
    `How is ${first!.name} related to ${second!.name}?`,
    'What do gradient and kernel have to do with entropy?',
    '梯度和熵有什么关系？',
  ];
  for (const question of questions) {
    const [vector] = await app.get(EmbeddingModel).embed({ tenantId, texts: [question] });
    for (const retrieve of [retrieveGraph, retrievePlain])
      await snapshots.read(tenantId, (reader, vectors) =>
        retrieve(reader, { question, limit: 10, vector: vector! }, { vectors, clock }),
      );
  }
  const graph = new GraphService(database, snapshots);
  await graph.neighbourhood(tenantId, first!.id, { depth: 2 });
  await graph.paths(tenantId, first!.id, second!.id);
}

/** Two names are made one, the decision is listed and taken back; then what one document means is split off. */
async function resolve(app: INestApplicationContext, tenantId: TenantId, sample: Sample): Promise<void> {
  const names = ['Rapid Kernel Matching', 'Sparse Tensor Folding'] as const;
  const upload = (title: string) => ({
    userId: sample.userId,
    title,
    format: 'text',
    content: `${names[0]} (RKM) was invented for ${tenantId} in 1999. ${names[0]} (RKM) uses ${names[1]} (STF), as ${title} says.`,
  });
  const ingestion = app.get(IngestionService);
  const { documents } = await ingestion.ingestMany(tenantId, [upload('one book'), upload('another book')]);
  const found = await Promise.all(
    names.map((name) => app.get(GraphService).searchEntities(tenantId, name, 1)),
  );
  const [keepId, otherId] = found.map(([hit]) => hit!.id);
  const resolutions = app.get(EntityResolutionService);
  const why = { actor: sample.userId, reason: 'they are the same' };
  const merged = await resolutions.merge(tenantId, { keepId: keepId!, mergeIds: [otherId!], ...why });
  await ingestion.ingestMany(tenantId, [upload('a third book')]);
  await resolutions.list(tenantId);
  await resolutions.list(tenantId, { nodeId: keepId!, before: 1_000_000 });
  await resolutions.undo(tenantId, { resolutionId: merged.id, ...why });
  await resolutions.split(tenantId, { nodeId: keepId!, documentIds: [documents[0]!], ...why });
  await ingestion.ingestMany(tenantId, [upload('a fourth book')]);
  await app.get(SnapshotProvider).read(tenantId, async () => undefined, 'latest');
}

async function summarise(app: INestApplicationContext, tenantId: TenantId): Promise<void> {
  const communities = app.get(CommunityService);
  await communities.due(10, { quietMs: 0, patienceMs: 0 });
  await communities.refresh({ tenantId });
  await communities.search({ tenantId, question: 'What are the main themes?' });
}

async function learn(app: INestApplicationContext, tenantId: TenantId, sample: Sample): Promise<void> {
  const { userId, nodes, prerequisite } = sample;
  const study = app.get(StudyService);
  const record = { tenantId, userId, node: nodes[0]!.id, activity: 'quiz', durationSeconds: 60, score: 0.7 };
  await study.record({ ...record, clientId: 'once' });
  await study.record({ ...record, clientId: 'once' });
  await study.progress(tenantId, userId, 7);
  const database = app.get(Database);
  await database.withTenant(tenantId, (sql) => readUserGraph(sql, userId));
  await loadUserGraph(new BatchLoaders((load) => database.withTenant(tenantId, load)), userId);
  await app.get(LearningPathService).plan({ tenantId, userId, target: prerequisite });
}

async function converse(app: INestApplicationContext, tenantId: TenantId, sample: Sample): Promise<void> {
  const conversations = app.get(ConversationService);
  const summaries = app.get(SummaryService);
  const { userId } = sample;
  const { id: conversationId } = await conversations.create({ tenantId, userId });
  const mine = { tenantId, userId, conversationId };
  await conversations.get(mine);
  await conversations.append({ ...mine, role: 'user', content: 'What is a gradient?', idempotencyKey: 'a' });
  await conversations.append({ ...mine, role: 'user', content: 'What is a gradient?', idempotencyKey: 'a' });
  await conversations.messages(mine);
  const { nextCursor } = await conversations.list({ tenantId, userId: sample.owner, limit: 1 });
  await conversations.list({ tenantId, userId: sample.owner, ...(nextCursor && { cursor: nextCursor }) });
  const { id: unwanted } = await conversations.create({ tenantId, userId });
  await conversations.delete({ tenantId, userId, conversationId: unwanted });
  const orchestrator = app.get(ChatOrchestrator);
  const turn = { ...mine, content: 'What is a kernel?', idempotencyKey: 'b' };
  await orchestrator.reply(turn);
  await orchestrator.reply(turn);
  await interruptTurn(app, { ...mine, content: 'What is a gradient?', idempotencyKey: 'c' });
  // A long conversation with summaries is recalled from; one without is summarised and embedded.
  const long = { tenantId, userId: sample.owner, conversationId: sample.conversationId };
  await orchestrator.reply({ ...long, content: 'And what did we say about the gradient on 3 May?' });
  await summaries.process({ tenantId, conversationId: sample.unsummarised });
  await summaries.warmupCandidates();
}

async function cacheAnswers(app: INestApplicationContext, tenantId: TenantId, sample: Sample): Promise<void> {
  const cache = app.get(SemanticCache);
  const scope: SemanticScope = {
    tenantId,
    model: 'report',
    systemPromptHash: 'report',
    toolsHash: 'report',
    parametersHash: 'report',
    corpusVersion: await app.get(SnapshotProvider).version(tenantId),
  };
  const answer = async () => ({ answer: { text: 'A founder.' }, documentIds: [sample.documentId] });
  await cache.getOrAnswer('Who founded the school?', scope, answer);
  await cache.drain();
  const hit = await cache.getOrAnswer('Please tell me who founded the school', scope, answer);
  await cache.drain();
  const entryId =
    hit.entryId ??
    (await cache.store({ scope, question: 'Who leads the school?', answer: { text: 'A head.' } }));
  await cache.reportBadHit({ tenantId, entryId, similarity: 0.97 });
  await cache.purgeByDocument(tenantId, sample.documentId);
  // The partition made above holds two answers; this one holds hundreds.
  const [vector] = await app.get(EmbeddingModel).embed({ tenantId, texts: ['What is a gradient?'] });
  await new PgvectorSemanticStore(app.get(Database)).search({ tenantId, digest: 'partition-1' }, vector!, 5);
}

async function ingest(app: INestApplicationContext, tenantId: TenantId, sample: Sample): Promise<void> {
  const documents = app.get(DocumentService);
  const ingestion = app.get(IngestionService);
  const upload = {
    tenantId,
    userId: sample.userId,
    title: `${sample.nodes[0]!.name} at ${tenantId}`,
    format: 'markdown',
    content: `# ${sample.nodes[0]!.name}\n\n${sample.nodes[0]!.name} uses ${sample.nodes[1]!.name} for ${tenantId}. Ada Lovelace wrote the Analytical Notes in 1843 (AN).`,
  };
  const { document, job } = await documents.submit(upload);
  await documents.submit(upload);
  await ingestion.process({ tenantId, jobId: job.id });
  await app.get(JobService).get(tenantId, job.id);
  await documents.get(tenantId, document.id);
  const page = await documents.list(tenantId, { limit: 20 });
  await documents.list(tenantId, { limit: 20, before: page.at(-1)! });
  await ingestion.ingestMany(tenantId, [
    { ...upload, title: 'Second', content: `Grace Hopper wrote COBOL at ${tenantId}.` },
  ]);
  // The graph that is kept in memory is brought up to date with what came.
  await app.get(SnapshotProvider).current(tenantId, 'latest');
  const failing = await documents.submit({
    ...upload,
    title: 'Third',
    content: `To be given up at ${tenantId}.`,
  });
  await ingestion.fail({ tenantId, jobId: failing.job.id, error: new Error('given up') });
  await app.get(JobService).reopen(tenantId, failing.job.id);
  await ingestion.fail({ tenantId, jobId: failing.job.id, error: new Error('given up again') });
  await documents.submit({ ...upload, title: 'Third', content: `To be given up at ${tenantId}.` });
  const next = await documents.replace(document.id, {
    ...upload,
    content: `${upload.content} It was printed.`,
  });
  await ingestion.process({ tenantId, jobId: next.job.id });
  const reading = await documents.submit({
    ...upload,
    format: 'html',
    content: `<h1>${tenantId}</h1><p>Ada Lovelace read the Analytical Notes.</p>`,
  });
  await documents.replace(next.document.id, {
    ...upload,
    format: 'html',
    content: `<h1>${tenantId}</h1><p>Ada Lovelace read the Analytical Notes.</p>`,
  });
  await ingestion.process({ tenantId, jobId: reading.job.id });
  await documents.delete(tenantId, reading.document.id);
  await documents.delete(tenantId, sample.documentId);
  // A graph that took long to build is kept for a while when documents came, but not when one left.
  await app.get(SnapshotProvider).current(tenantId);
}

async function operate(app: INestApplicationContext): Promise<void> {
  const registry = app.get(TenantRegistry);
  const principal: Principal = { tenantId: parseTenantId('newcomer'), userId: 'first', scopes: [] };
  await registry.admit(principal);
  await registry.admit({ ...principal, tenantId: parseTenantId(tenantName(2)), userId: 'user-1' });
  await registry.save(parseTenantId(tenantName(2)), { status: 'active', plan: null });
  await registry.list();
  await app.get(TenantPlans).get(parseTenantId(tenantName(2)));
  await loadSampleCourse(app.get(CourseLoader), registry);
  await app.get(StudyService).record({
    tenantId: principal.tenantId,
    userId: 'first',
    activity: 'read',
    durationSeconds: 10,
  });
}

async function maintain(app: INestApplicationContext, log: (text: string) => void): Promise<void> {
  const attempt = { number: 1, isLast: false, signal: new AbortController().signal, report: () => {} };
  for (const processor of PROCESSORS) {
    const instance: JobProcessor = app.get(processor);
    // The repeated jobs; the others were driven through their services.
    for (const [name, { queue, payload }] of Object.entries(SCHEDULE)) {
      if (instance.queue !== queue) continue;
      log(`worker: ${name}`);
      await instance.process(payload, attempt);
    }
  }
}

/** A request for something that is not there asks the database as well. */
async function refused(request: Promise<unknown>): Promise<void> {
  await request.catch(() => undefined);
}

/** Finds rows to work with; not part of what the application does. */
export function findSamples(database: Database): Promise<Sample[]> {
  return Promise.all(TENANTS.map((rank) => findSample(database, parseTenantId(tenantName(rank)))));
}

async function findSample(database: Database, tenantId: TenantId): Promise<Sample> {
  const [row] = await database.asSystem((sql) =>
    sql.query<Sample>(
      `SELECT $1 AS "tenantId", (SELECT id FROM users WHERE tenant_id = $1 ORDER BY id LIMIT 1) AS "userId",
         (SELECT id FROM documents WHERE tenant_id = $1 ORDER BY id LIMIT 1) AS "documentId",
         (SELECT json_agg(json_build_object('id', id, 'name', name))
          FROM (SELECT n.id, n.name FROM knowledge_nodes n WHERE tenant_id = $1
                AND EXISTS (SELECT FROM node_mentions m WHERE m.tenant_id = $1 AND m.node_id = n.id)
                ORDER BY id LIMIT 2) n) AS nodes,
         (SELECT e.target_id FROM knowledge_edges e JOIN node_mentions m
            ON m.tenant_id = e.tenant_id AND m.node_id = e.target_id
          WHERE e.tenant_id = $1 ORDER BY e.type <> 'prerequisite_of', e.id LIMIT 1) AS prerequisite,
         long.id AS "conversationId", long.user_id AS owner, due.id AS unsummarised
       FROM (SELECT id, user_id FROM conversations WHERE tenant_id = $1
             ORDER BY summarised_to DESC, message_count DESC, id LIMIT 1) long,
         (SELECT id FROM conversations WHERE tenant_id = $1 AND summarised_to = 0
          ORDER BY message_count DESC, id LIMIT 1) due`,
      [tenantId],
    ),
  );
  if (!row) throw new Error(`the loaded data lacks what ${tenantId} needs`);
  return row;
}
