import 'reflect-metadata';
import { fileURLToPath } from 'node:url';
import { CHECKLIST_ITEMS, type ChecklistItem } from '@sparkle/runtime';
import { runChecklist } from '../checklist/run-checklist.js';
import { embeddedSetUp, nativeSetUp } from '../checklist/set-ups.js';
import { readOptions, runCommand, UsageError } from './command.js';

const USAGE =
  'npm run --silent checklist -- [--setup embedded|native] [--qps 50] [--seconds 60] [--index-scale SHARE] [--json]';
const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));
/** Of the data of the index report: its full size on a server, what the embedded one bears otherwise. */
const INDEX_SCALE = { embedded: '0.1', native: '1' } as const;

await runCommand(async () => {
  const { values } = readOptions(USAGE, {
    setup: { type: 'string', default: 'embedded' },
    qps: { type: 'string', default: '50' },
    seconds: { type: 'string', default: '60' },
    'index-scale': { type: 'string' },
    json: { type: 'boolean', default: false },
  });
  const { setup } = values;
  if (setup !== 'embedded' && setup !== 'native') throw new UsageError(`usage: ${USAGE}`);
  const qps = within('--qps', values.qps, 1, 10_000);
  const seconds = within('--seconds', values.seconds, 5, 3600);
  const indexScale = within('--index-scale', values['index-scale'] ?? INDEX_SCALE[setup], 0.001, 10);
  const { TEST_DATABASE_URL, TEST_REDIS_URL, TEST_PROMETHEUS_BIN } = process.env;
  if (setup === 'native' && !(TEST_DATABASE_URL && TEST_REDIS_URL))
    throw new UsageError(
      'The native set-up needs TEST_DATABASE_URL and TEST_REDIS_URL: servers that nobody else needs meanwhile.',
    );
  const items = await runChecklist({
    setUp: setup === 'native' ? nativeSetUp(TEST_DATABASE_URL!, TEST_REDIS_URL!) : embeddedSetUp(),
    qps,
    seconds,
    indexScale,
    ...(setup === 'native' && { serverUrl: TEST_DATABASE_URL! }),
    ...(TEST_PROMETHEUS_BIN && { prometheus: TEST_PROMETHEUS_BIN }),
    root: ROOT,
    log: (text) => process.stderr.write(`checklist: ${text}\n`),
  });
  const sorted = CHECKLIST_ITEMS.flatMap((name) => items.filter(({ item }) => item === name));
  for (const item of sorted)
    process.stdout.write(values.json ? `${JSON.stringify(item)}\n` : `${lineOf(item)}\n`);
  if (sorted.some(({ status }) => status === 'fail')) process.exitCode = 1;
});

function within(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!(value >= least && value <= most))
    throw new UsageError(`${name} is a number from ${least} to ${most}\nusage: ${USAGE}`);
  return value;
}

function lineOf({ item, target, measured, status, how }: ChecklistItem): string {
  return `${status.padEnd(13)}${item.padEnd(16)}${measured ?? '-'}\n${' '.repeat(29)}target: ${target}\n${' '.repeat(29)}how: ${how}`;
}
