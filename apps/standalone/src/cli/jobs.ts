import { parseTenantId } from '@sparkle/contracts';
import { openDatabase, parseDatabaseOptions } from '@sparkle/database';
import { JobService } from '@sparkle/graphrag';
import {
  type DeadLetter,
  type DeadLetterFilter,
  DeadLetters,
  JobQueues,
  openServices,
  parseEnvironment,
  QUEUE_NAMES,
  type QueueName,
  reopenIngestion,
} from '@sparkle/runtime';
import { readOptions, runCommand, UsageError } from './command.js';

const USAGE = `npm run --silent jobs -- list [--queue NAME] [--tenant NAME] [--limit 50] [--before MS] [--json]
       npm run --silent jobs -- show QUEUE ID [--json]
       npm run --silent jobs -- replay QUEUE ID | replay --all [--queue NAME] [--tenant NAME]
       npm run --silent jobs -- discard QUEUE ID | discard --all [--queue NAME] [--tenant NAME]
Jobs that were given up, of any tenant. Queues: ${QUEUE_NAMES.join(', ')}`;

interface Words {
  readonly filter: DeadLetterFilter;
  readonly one?: { readonly queue: QueueName; readonly id: string };
  readonly all: boolean;
  readonly limit: number;
  readonly before?: number;
  readonly json: boolean;
}

const ACTIONS: Readonly<Record<string, (letters: DeadLetters, words: Words) => Promise<void>>> = {
  list: async (letters, { filter, limit, before, json }) => {
    const page = await letters.list(filter, { limit, ...(before !== undefined && { before }) });
    for (const letter of page.deadLetters) say(json ? JSON.stringify(letter) : lineOf(letter));
    if (page.next !== undefined && !json) say(`more: --before ${page.next}`);
  },
  show: async (letters, { one, json }) => {
    if (!one) throw new UsageError(`usage: ${USAGE}`);
    say(JSON.stringify(await letters.get(one.queue, one.id), undefined, json ? undefined : 2));
  },
  replay: async (letters, { one, all, filter }) => {
    if (one) say(await letters.replay(one.queue, one.id));
    else if (all) say(`${await letters.replayAll(filter)} replayed`);
    else throw new UsageError(`usage: ${USAGE}`);
  },
  discard: async (letters, { one, all, filter }) => {
    if (one) {
      await letters.discard(one.queue, one.id);
      say('discarded');
    } else if (all) say(`${await letters.discardAll(filter)} discarded`);
    else throw new UsageError(`usage: ${USAGE}`);
  },
};

await runCommand(async () => {
  const { values, positionals } = readOptions(USAGE, {
    queue: { type: 'string' },
    tenant: { type: 'string' },
    limit: { type: 'string', default: '50' },
    before: { type: 'string' },
    all: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  });
  const [name = '', queue, id, ...rest] = positionals;
  const action = ACTIONS[name];
  if (!action || rest.length > 0 || (queue !== undefined && id === undefined))
    throw new UsageError(`usage: ${USAGE}`);
  const words: Words = {
    filter: {
      ...(values.queue !== undefined && { queue: parseQueue(values.queue) }),
      ...(values.tenant !== undefined && { tenantId: parseTenantId(values.tenant) }),
    },
    ...(queue !== undefined && id !== undefined && { one: { queue: parseQueue(queue), id } }),
    all: values.all,
    limit: parseCount('--limit', values.limit),
    ...(values.before !== undefined && { before: parseCount('--before', values.before) }),
    json: values.json,
  };
  const config = parseEnvironment(process.env, { embedded: true });
  const services = await openServices(config);
  const queues = new JobQueues(services.queueBackend);
  try {
    const database = await openDatabase(parseDatabaseOptions({ url: services.databaseUrl }));
    try {
      const ingestion = reopenIngestion(new JobService(database, database));
      await action(new DeadLetters(queues, { ingestion }), words);
    } finally {
      await database.close();
    }
  } finally {
    await queues.onApplicationShutdown();
    await services.close();
  }
});

function lineOf({ failedAt, queue, id, tenantId, attempts, reason }: DeadLetter): string {
  return [
    new Date(failedAt).toISOString(),
    queue,
    id,
    tenantId ?? '-',
    `${attempts} attempts`,
    reason.split('\n')[0],
  ].join('  ');
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function parseQueue(text: string): QueueName {
  const queue = QUEUE_NAMES.find((name) => name === text);
  if (!queue) throw new UsageError(`there is no queue "${text}"; the queues are ${QUEUE_NAMES.join(', ')}`);
  return queue;
}

function parseCount(option: string, text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1) throw new UsageError(`${option} is a whole number above 0`);
  return count;
}
