import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SeededRandom } from '@sparkle/contracts';
import { EmbeddedPostgres } from '@sparkle/database/embedded';
import {
  ALERTS_TARGET,
  type ChecklistItem,
  DEGRADATION_TARGET,
  judged,
  LOAD_TARGET,
  notMeasured,
  percent,
  readAlertRules,
  TARGETS,
} from '@sparkle/runtime';
import { runIndexReport } from '../index-report/run-index-report.js';
import { send } from '../processes/running-application.js';
import { uploadCourse } from './course.js';
import { degrade, type Outage } from './degradation.js';
import { generateLoad, type LoadResult } from './load.js';
import { alertsOnFile, unusedPort, withPrometheus } from './prometheus.js';
import type { CheckedProduct, SetUp } from './set-ups.js';
import { coursePages, questionsAbout, workload } from './workload.js';

const SEED = 7;
const CONVERSATIONS = 20;
/** The product is asked for its figures this long before the load ends, while it still works. */
const ASK_BEFORE_END_MS = 1_500;
/** Sent against asked for: a constant rate cannot be kept to the last request. */
const RATE_TOLERANCE = 0.99;

export interface ChecklistRun {
  readonly setUp: SetUp;
  /** Requests per second the product has to bear. */
  readonly qps: number;
  readonly seconds: number;
  /** Size of the data of the index report; 1 is its full size. */
  readonly indexScale: number;
  /** A server on which the login may create databases. Default: an embedded one. */
  readonly serverUrl?: string;
  /** Folder of Prometheus' programs. */
  readonly prometheus?: string;
  /** Folder of the workspace. */
  readonly root: string;
  readonly log: (text: string) => void;
}

/** Starts the product, loads it, breaks what it depends on, and measures every item meanwhile. */
export async function runChecklist(run: ChecklistRun): Promise<readonly ChecklistItem[]> {
  const questions = questionsAbout(await coursePages());
  const { items, load } = await underLoad(run, questions);
  run.log('index coverage: the whole product is driven over data of its own');
  const coverage = await indexCoverage(run);
  const outages = await degrade(run.setUp, questions, run.log);
  const measured = new Map<ChecklistItem['item'], ChecklistItem>();
  for (const item of [...items, ...loadItems(run, load), coverage, degradation(outages)])
    measured.set(item.item, item);
  return [...measured.values()];
}

/** The items that the product measures itself while it is loaded, and what the load saw. */
async function underLoad(run: ChecklistRun, questions: readonly string[]) {
  const port = await unusedPort();
  return run.setUp.run({ SPARKLE_PROMETHEUS_URL: `http://127.0.0.1:${port}` }, async (product) => {
    run.log('uploading the course');
    await uploadCourse(product);
    const loaded = async () => {
      run.log(`${run.qps} requests a second for ${run.seconds} s`);
      const conversations = await beginConversations(product);
      const [load, items] = await Promise.all([
        generateLoad({
          address: product.address,
          token: product.token,
          perSecond: run.qps,
          seconds: run.seconds,
          requests: workload(questions, conversations, new SeededRandom(SEED)),
        }),
        after(run.seconds * 1000 - ASK_BEFORE_END_MS, () => ask(product, run.qps)),
      ]);
      return { load, items };
    };
    if (!run.prometheus) return loaded();
    return withPrometheus(run.prometheus, port, product.scraped, async () => {
      const { load, items } = await loaded();
      return { load, items: [...items, await alerts(`http://127.0.0.1:${port}`)] };
    });
  });
}

async function beginConversations({ address, token }: CheckedProduct): Promise<readonly string[]> {
  const begun = await Promise.all(
    Array.from({ length: CONVERSATIONS }, () =>
      send(address, '/v1/conversations', { token, method: 'POST', json: {} }),
    ),
  );
  return begun.map(({ body }) => String(body.id));
}

async function ask({ address, token }: CheckedProduct, qps: number): Promise<readonly ChecklistItem[]> {
  const { status, body } = await send(address, `/v1/operations/checklist?qps=${qps}`, { token });
  if (status !== 200) throw new Error(`the product does not measure itself: ${status} ${body.code}`);
  return body.items;
}

/** The product asks whether what is loaded evaluates; only the files say whether all of it is loaded. */
async function alerts(prometheusUrl: string): Promise<ChecklistItem> {
  const [loaded, onFile] = await Promise.all([readAlertRules(prometheusUrl), alertsOnFile()]);
  const missing = onFile.filter((name) => !loaded.alerts.includes(name));
  const { failing, targets, targetsUp } = loaded;
  return judged(
    'alerts',
    ALERTS_TARGET,
    onFile.length > 0 && missing.length === 0 && failing.length === 0 && targets > 0 && targetsUp === targets,
    `${onFile.length - missing.length} of ${onFile.length} alerts, ${failing.length} rules failing, ${targetsUp} of ${targets} targets up`,
    'a Prometheus started with deploy/prometheus/rules, which scraped every process during the load',
  );
}

function loadItems({ qps, seconds }: ChecklistRun, load: LoadResult): readonly ChecklistItem[] {
  const { sent, succeeded, lost, perSecond, p50Ms, p95Ms, p99Ms, answers } = load;
  const reached = perSecond >= qps * RATE_TOLERANCE;
  const looked = answers.exact + answers.semantic + answers.miss;
  const hits = answers.exact + answers.semantic;
  const refused = [...load.refused].map(([what, count]) => `, ${count} × ${what}`).join('');
  const latencies = [p50Ms, p95Ms, p99Ms].map((ms) => ms.toFixed(0)).join(' / ');
  return [
    judged(
      'target-qps',
      `>= ${qps}/s`,
      reached,
      `${perSecond.toFixed(1)}/s`,
      `${seconds} s, as the client saw it`,
    ),
    looked === 0
      ? notMeasured('hit-rate', `> ${percent(TARGETS.hitRate)}`, 'the load got no answer')
      : judged(
          'hit-rate',
          `> ${percent(TARGETS.hitRate)}`,
          hits / looked > TARGETS.hitRate,
          percent(hits / looked),
          `${looked} questions, by Zipf's law out of a set that began uncached: ${answers.exact} exact, ${answers.semantic} semantic`,
        ),
    judged(
      'load-test',
      LOAD_TARGET,
      succeeded === sent && reached && p95Ms < TARGETS.p95Ms,
      `${succeeded} of ${sent} answered${refused}, ${lost} lost; p50 / p95 / p99 ${latencies} ms`,
      `${qps} requests a second, evenly spaced, whether or not earlier ones were answered; latency from when each was due`,
    ),
  ];
}

async function indexCoverage(run: ChecklistRun): Promise<ChecklistItem> {
  const { serverUrl, indexScale: scale, root } = run;
  const log = () => undefined;
  const report = serverUrl
    ? await runIndexReport({ where: { serverUrl }, root, scale, log })
    : await onEmbeddedServer((databaseUrl) => runIndexReport({ where: { databaseUrl }, root, scale, log }));
  const { percent: share, covered, readingLargeTables } = report.coverage;
  return judged(
    'index-coverage',
    `> ${percent(TARGETS.indexCoverage)}`,
    readingLargeTables > 0 && share > TARGETS.indexCoverage * 100 && report.unreached.length === 0,
    `${share.toFixed(1)} %`,
    `${covered} of ${readingLargeTables} queries on large tables, by their plans; index-report at scale ${scale}`,
  );
}

async function onEmbeddedServer<T>(work: (url: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'sparkle-checklist-index-'));
  try {
    const server = await EmbeddedPostgres.start({ dataDir: join(folder, 'postgres') });
    try {
      return await work(server.url);
    } finally {
      await server.stop();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function degradation(outages: readonly Outage[]): ChecklistItem {
  const lines = outages.map(
    ({ what, asked, answered, recovered }) =>
      `${what}: ${answered} of ${asked}${recovered ? '' : ', not recovered'}`,
  );
  return judged(
    'degradation',
    DEGRADATION_TARGET,
    outages.every(({ asked, answered, recovered }) => asked === answered && recovered),
    lines.join('; '),
    'each was taken away from the running product while it was asked',
  );
}

async function after<T>(ms: number, work: () => Promise<T>): Promise<T> {
  await new Promise((resolve) => setTimeout(resolve, ms));
  return work();
}
