import { type MetricDefinition, metricCatalog } from '../src/index.js';
import { parseMetricsOptions } from '../src/metrics.options.js';

/** What each label says, in the page's own words. */
const LABELS: Readonly<Record<string, string>> = {
  by: 'who chose the tool: `model` or `rule`',
  channel: 'the channel of `@sparkle/contracts` the event came on',
  dependency: 'name under which a dependency was registered',
  dimension: 'what a limit counts by: user, action, tenant',
  direction: '`input` or `output`',
  kind: 'kind of what is measured, a fixed set per metric',
  le: 'upper bound of a histogram’s bucket',
  limiter: 'name of the limit in the code',
  method: 'HTTP method, or the call of another door; others are `OTHER`',
  metric: 'name of the metric',
  model: 'name of the model',
  namespace: 'namespace of the cache in the code',
  node: 'version of Node',
  operation: 'what was done, a fixed set per metric',
  outcome: 'how it ended, a fixed set per metric',
  path: 'path of a watched file system, from the options',
  percentile: '`50`, `95`, `99`, `100`: share, in per cent, of values that are not above',
  pool: 'connection pool: `primary`, a shard’s name, tenants’ own pools together',
  queue: 'name of the queue',
  reason: 'why, a fixed set per metric',
  replica: 'name of the replica',
  revision: 'commit of the build',
  route: 'template of the route (`/v1/jobs/:id`), never a URL; `unmatched` without one',
  space: 'space of the V8 heap, e.g. `old`, `new`, `large_object`',
  state: 'state of a job, or of an automaton',
  schedule: 'name of the scheduled task',
  status: '`2xx` … `5xx`, or `aborted` when the client left before the end',
  step: 'step of the work',
  strategy: 'how it was done; `none` where that does not apply',
  tenant: 'the tenant; `other` without series of its own, `none` where there is no tenant',
  tier: '`l1`, `l2`, `loader`, `exact`, `semantic`',
  tool: 'name of the tool',
  transport: '`http`, `ws`, `grpc`',
  type: 'code or class of an error, or type of a handle',
  version: 'version of the product',
  window: 'time that an average is over',
};

const SOURCES: Readonly<Record<MetricDefinition['source'], string>> = {
  requests: 'Requests: what comes in over HTTP, WebSocket and gRPC',
  health: 'Health, score and fleet',
  cache: 'Channel `sparkle:cache`',
  limit: 'Channel `sparkle:limit`',
  database: 'Channel `sparkle:database`',
  model: 'Channel `sparkle:model`',
  retrieval: 'Channel `sparkle:retrieval`',
  ingestion: 'Channel `sparkle:ingestion`',
  conversation: 'Channel `sparkle:conversation`',
  tool: 'Channel `sparkle:tool`',
  job: 'Channel `sparkle:job`',
  application: 'Set by the application',
  system: 'The machine, or the container',
  process: 'The process and Node',
  metrics: 'The metrics themselves',
};

const { tenants, maxLabelValues, maxLabelSets } = parseMetricsOptions({});

/** The page that lists every metric, from the catalogue. */
export function metricsPage(): string {
  const definitions: readonly MetricDefinition[] = Object.values(metricCatalog);
  const used = [...new Set(definitions.flatMap(({ labels }) => labels))].sort();
  return [
    '# Metrics',
    '',
    `Every metric of \`@sparkle/metrics\`: ${definitions.length} of them, on \`GET /metrics\`. This page is written from \`libs/metrics/src/core/metric-catalog.ts\` by \`npx vitest run test/metrics-page.spec.ts -u\` in \`libs/metrics\`; a test fails when it and the code differ. What the bounds of labels promise is in [bounded metrics](guarantees/bounded-metrics.md), what is behind the percentiles in [true percentiles](guarantees/true-percentiles.md), how to use and extend all this in the [guide](guides/metrics.md).`,
    '',
    ...(Object.keys(SOURCES) as MetricDefinition['source'][]).flatMap((source) =>
      section(source, definitions),
    ),
    '## Labels',
    '',
    `A label has at most so many values in one process, whatever the input; what is beyond is counted under \`other\`, and \`metrics_folded_total\` says how often that happened. All metrics together have at most ${number(maxLabelSets)} label sets (\`maxLabelSets\`), and one more for each metric that met that bound.`,
    '',
    '| label | values at most | what it says |',
    '|---|---|---|',
    ...used.map((label) => `| \`${label}\` | ${boundOf(label)} | ${meaningOf(label)} |`),
    '',
  ].join('\n');
}

function section(source: MetricDefinition['source'], definitions: readonly MetricDefinition[]): string[] {
  const own = definitions.filter((definition) => definition.source === source);
  if (own.length === 0) return [];
  return [
    `## ${SOURCES[source]}`,
    '',
    '| metric | type | unit | labels | meaning |',
    '|---|---|---|---|---|',
    ...own.map(
      ({ name, type, unit, labels, help, buckets }) =>
        `| \`${name}\` | ${type} | ${unit} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help}${buckets ? `. Buckets: ${buckets.join(', ')}` : ''} |`,
    ),
    '',
  ];
}

function boundOf(label: string): string {
  return label === 'tenant'
    ? `${tenants.max} with most traffic, and those pinned (\`tenants.max\`, \`tenants.pinned\`)`
    : `${maxLabelValues} (\`maxLabelValues\`)`;
}

/** @throws Error for a label without an explanation. */
function meaningOf(label: string): string {
  const meaning = LABELS[label];
  if (meaning === undefined) throw new Error(`say in metrics-page.ts what the label ${label} says`);
  return meaning;
}

function number(value: number): string {
  return value.toLocaleString('en-GB');
}
