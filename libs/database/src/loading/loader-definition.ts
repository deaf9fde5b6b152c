import type { SqlClient } from '@sparkle/contracts';
import { LoaderInvalidError } from '../errors.js';

/** PostgreSQL takes 65,535 parameters; a list in one parameter is bounded by memory and the plan only. */
const DEFAULT_BATCH = 500;
const LARGEST_BATCH = 10_000;

/** How rows are read for many keys at once; made once by {@link defineLoader}, used by `BatchLoaders`. */
export interface LoaderDefinition<Key, Value> {
  readonly name: string;
  readonly maxBatchSize: number;
  /** Equal for equal keys. */
  identify(key: Key): string;
  /** Values, or the failure of single ones, by {@link identify}. */
  load(sql: SqlClient, keys: readonly Key[]): Promise<ReadonlyMap<string, Value | Error>>;
}

interface LoaderOptions<Key, Row, Item> {
  /** Names the loader in errors. */
  readonly name: string;
  /** One statement that reads the rows of all `keys`, in any order. */
  readonly read: (sql: SqlClient, keys: readonly Key[]) => Promise<readonly Row[]>;
  /** The key a row belongs to. */
  readonly keyOf: (row: Row) => Key;
  /** Makes the value of a row. What it throws fails the row's key only. Default: the row itself. */
  readonly parse?: (row: Row) => Item;
  /** Equal for equal keys. Default: the key as a string; needed when keys are objects. */
  readonly identify?: (key: Key) => string;
  /** Most keys of one statement. Default 500, at most 10,000. */
  readonly maxBatchSize?: number;
}

/**
 * A loader of at most one row for each key; keys without a row load undefined.
 * @throws LoaderInvalidError when the batch size is out of range.
 */
export function defineLoader<Key, Row extends object, Item = Row>(
  options: LoaderOptions<Key, Row, Item>,
): LoaderDefinition<Key, Item> {
  return define(options, (values, id, item) => {
    values.set(id, item);
  });
}

/**
 * A loader of the list of rows that belong to each key, in the order they were read; keys without rows load an
 * empty list.
 * @throws LoaderInvalidError when the batch size is out of range.
 */
export function defineGroupLoader<Key, Row extends object, Item = Row>(
  options: LoaderOptions<Key, Row, Item>,
): LoaderDefinition<Key, readonly Item[]> {
  const grouped = define<Key, Row, Item, Item[]>(options, (values, id, item) => {
    const list = values.get(id);
    if (list instanceof Error) return;
    if (item instanceof Error) values.set(id, item);
    else if (list) list.push(item);
    else values.set(id, [item]);
  });
  return {
    ...grouped,
    load: async (sql, keys) => {
      const found = await grouped.load(sql, keys);
      return new Map(
        keys.map((key): [string, readonly Item[] | Error] => {
          const id = grouped.identify(key);
          return [id, found.get(id) ?? []];
        }),
      );
    },
  };
}

function define<Key, Row extends object, Item, Value>(
  options: LoaderOptions<Key, Row, Item>,
  add: (values: Map<string, Value | Error>, id: string, item: Item | Error) => void,
): LoaderDefinition<Key, Value> {
  const { name, read, keyOf, parse, identify = String, maxBatchSize = DEFAULT_BATCH } = options;
  if (!Number.isInteger(maxBatchSize) || maxBatchSize < 1 || maxBatchSize > LARGEST_BATCH)
    throw new LoaderInvalidError(
      `The batch size of the loader "${name}" must be a whole number from 1 to ${LARGEST_BATCH}.`,
    );
  return {
    name,
    maxBatchSize,
    identify,
    load: async (sql, keys) => {
      const values = new Map<string, Value | Error>();
      for (const row of await read(sql, keys)) add(values, identify(keyOf(row)), parsed(parse, row));
      return values;
    },
  };
}

function parsed<Row extends object, Item>(parse: ((row: Row) => Item) | undefined, row: Row): Item | Error {
  if (!parse) return row as unknown as Item;
  try {
    return parse(row);
  } catch (error) {
    return error instanceof Error ? error : new LoaderInvalidError(String(error));
  }
}
