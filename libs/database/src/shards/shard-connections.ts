import type { Database } from '../core/database.service.js';
import { ShardUnknownError } from './errors.js';
import { checkIdentity } from './shard-ownership.js';

/**
 * Connections to shards by the names these have in the map. Each is opened when it is needed first, so that a
 * shard that is down keeps nothing from starting.
 */
export class ShardConnections {
  private readonly opened = new Map<string, Promise<Database>>();
  private readonly checked = new Map<string, Promise<void>>();

  constructor(private readonly open: ReadonlyMap<string, () => Promise<Database>>) {}

  /** In the order of the configuration. */
  get names(): string[] {
    return [...this.open.keys()];
  }

  /** @throws ShardUnknownError when there is no connection of that name. */
  require(name: string): () => Promise<Database> {
    const open = this.open.get(name);
    if (!open) throw new ShardUnknownError(name, 'has no connection in the configuration');
    return open;
  }

  /**
   * The connection to a shard, whatever that server is.
   * @throws ShardUnknownError when there is none of that name.
   * @throws DatabaseUnreachableError when it cannot be opened; the next call tries again.
   */
  async connect(name: string): Promise<Database> {
    return remember(this.opened, name, this.require(name));
  }

  /**
   * The connection to a shard that has proven to be that shard of that map.
   * @throws ShardIdentityError when it is another one; and what {@link connect} throws.
   */
  async get(name: string, mapId: string): Promise<Database> {
    const database = await this.connect(name);
    await remember(this.checked, name, () => checkIdentity(database, name, mapId));
    return database;
  }

  /** Closes what was opened. */
  async close(): Promise<void> {
    const opened = await Promise.allSettled(this.opened.values());
    await Promise.allSettled(
      opened.map(async (one) => {
        if (one.status === 'fulfilled') await one.value.close();
      }),
    );
  }
}

/** The promise made for a name earlier, unless that failed. */
function remember<T>(made: Map<string, Promise<T>>, name: string, make: () => Promise<T>): Promise<T> {
  const known = made.get(name);
  if (known) return known;
  const fresh = make();
  made.set(name, fresh);
  fresh.catch(() => made.delete(name));
  return fresh;
}
