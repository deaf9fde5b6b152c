import { resolve } from 'node:path';
import { readOptions, UsageError } from '../cli/command.js';

/** What evaluations over a folder of data are called with. */
export interface DataOptions {
  readonly folder: string;
  /** Questions or pairs at most. */
  readonly limit: number | undefined;
  readonly json: boolean;
}

/** Reads `--data DIR [--limit N] [--json]`. @throws UsageError for anything else. */
export function readDataOptions(usage: string): DataOptions {
  const { values } = readOptions(usage, {
    data: { type: 'string' },
    limit: { type: 'string' },
    json: { type: 'boolean', default: false },
  });
  const limit = values.limit === undefined ? undefined : Number(values.limit);
  if (!values.data || (limit !== undefined && (!Number.isInteger(limit) || limit < 1)))
    throw new UsageError(`usage: ${usage}`);
  return { folder: resolve(values.data), limit, json: values.json };
}
