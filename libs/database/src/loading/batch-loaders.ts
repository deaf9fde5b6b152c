import type { SqlClient } from '@sparkle/contracts';
import DataLoader from 'dataloader';
import { RecordMissingError } from '../errors.js';
import type { LoaderDefinition } from './loader-definition.js';

/** Runs a batch in a transaction. */
type InTransaction = <T>(load: (sql: SqlClient) => Promise<T>) => Promise<T>;

/**
 * The loaders of one tenant in one request, or in one transaction (`Database.loaders`). Keys that are asked for in
 * the same turn of the event loop are read by one statement, each key once; results are remembered for as long as
 * the request or transaction lasts. Failures are not remembered.
 */
export class BatchLoaders {
  private readonly loaders = new Map<unknown, DataLoader<unknown, unknown, unknown>>();

  constructor(private readonly inTransaction: InTransaction) {}

  /** What belongs to `key`: a row, or for a group loader a list. Undefined when there is no such row. */
  load<Key, Value>(definition: LoaderDefinition<Key, Value>, key: Key): Promise<Value | undefined> {
    return this.loaderOf(definition).load(key);
  }

  /**
   * What belongs to `key`.
   * @throws RecordMissingError when there is nothing.
   */
  async require<Key, Value>(definition: LoaderDefinition<Key, Value>, key: Key): Promise<Value> {
    const value = await this.load(definition, key);
    if (value === undefined) throw new RecordMissingError(definition.name);
    return value;
  }

  /** What belongs to each of `keys`, in their order; rejects when one of them fails. */
  loadMany<Key, Value>(
    definition: LoaderDefinition<Key, Value>,
    keys: readonly Key[],
  ): Promise<(Value | undefined)[]> {
    return Promise.all(keys.map((key) => this.load(definition, key)));
  }

  /** Forgets what was loaded for `key`, or for all keys, e.g. after changing it. */
  forget<Key, Value>(definition: LoaderDefinition<Key, Value>, key?: Key): void {
    const loader = this.loaderOf(definition);
    if (key === undefined) loader.clearAll();
    else loader.clear(key);
  }

  private loaderOf<Key, Value>(
    definition: LoaderDefinition<Key, Value>,
  ): DataLoader<Key, Value | undefined, unknown> {
    const known = this.loaders.get(definition);
    if (known) return known as unknown as DataLoader<Key, Value | undefined, unknown>;
    const loader: DataLoader<Key, Value | undefined, unknown> = new DataLoader(
      async (keys) => {
        const found = await this.inTransaction((sql) => definition.load(sql, keys)).catch(
          (error: unknown) => {
            for (const key of keys) loader.clear(key);
            throw error;
          },
        );
        return keys.map((key) => {
          const value = found.get(definition.identify(key));
          if (value instanceof Error) loader.clear(key);
          return value;
        });
      },
      { maxBatchSize: definition.maxBatchSize, cacheKeyFn: definition.identify, name: definition.name },
    );
    this.loaders.set(definition, loader as unknown as DataLoader<unknown, unknown, unknown>);
    return loader;
  }
}
