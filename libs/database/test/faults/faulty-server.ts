import { parseTenantId } from '@sparkle/contracts';
import {
  type Database,
  type DatabaseDependencies,
  type DatabaseOptions,
  databaseMigrations,
  migrate,
  openDatabase,
  parseDatabaseOptions,
} from '@sparkle/database';
import { PostgresServer, type PostgresSettings } from '@sparkle/database/testing';

export const acme = parseTenantId('acme');
const NAME = 'app';

/** A server of a test's own with the product's schema, one tenant, and databases opened on it. */
export class FaultyServer {
  private readonly opened: Database[] = [];

  private constructor(readonly server: PostgresServer) {}

  static async start(settings: PostgresSettings = {}): Promise<FaultyServer> {
    const server = await PostgresServer.start(settings);
    await server.query(`CREATE DATABASE ${NAME}`);
    await migrate(server.urlOf(NAME), databaseMigrations(8));
    await server.query("INSERT INTO tenants (id, name) VALUES ('acme', 'acme')", [], NAME);
    return new FaultyServer(server);
  }

  get url(): string {
    return this.server.urlOf(NAME);
  }

  /** Connects; closed by {@link closeAll}. */
  async open(
    options: Partial<DatabaseOptions> = {},
    dependencies: DatabaseDependencies = {},
  ): Promise<Database> {
    const database = await openDatabase(parseDatabaseOptions({ url: this.url, ...options }), dependencies);
    this.opened.push(database);
    return database;
  }

  /** One statement as superuser, past every pool. */
  query<Row extends object = Record<string, unknown>>(text: string, parameters?: unknown[]): Promise<Row[]> {
    return this.server.query<Row>(text, parameters, NAME);
  }

  async users(): Promise<string[]> {
    return (await this.query<{ id: string }>('SELECT id FROM users ORDER BY id')).map(({ id }) => id);
  }

  /** Sessions of the application that are in a transaction. */
  async inTransaction(): Promise<number> {
    const [row] = await this.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'sparkle' AND state <> 'idle'`,
    );
    return row!.count;
  }

  async closeAll(): Promise<void> {
    await Promise.all(this.opened.splice(0).map((database) => database.close()));
  }

  async stop(): Promise<void> {
    await this.closeAll();
    await this.server.stop();
  }
}

/** The row every test of faults writes. */
export const INSERT_USER = "INSERT INTO users (tenant_id, id) VALUES ('acme', $1)";

export function addUser(database: Database, id: string): Promise<unknown> {
  return database.withTenant(acme, (tx) => tx.query(INSERT_USER, [id]));
}

/** `ok`, or the code of the error. Fails on an error without one. */
export async function outcomeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'ok',
    (error: unknown) => {
      if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
      throw error;
    },
  );
}
