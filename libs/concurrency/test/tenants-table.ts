import { randomUUID } from 'node:crypto';
import type { TenantDatabase } from '@sparkle/contracts';
import pg from 'pg';

function requireTestDatabaseUrl(): string {
  const url = process.env.TEST_DATABASE_URL;
  if (!url)
    throw new Error(
      'TEST_DATABASE_URL is not set. Start the test services (npm test does) or set it by hand.',
    );
  return url;
}

/** A PostgreSQL database of a test's own with the table that plans are read from. */
export class TenantsTable {
  /** How often plans were read. */
  queries = 0;

  private constructor(
    private readonly name: string,
    private readonly server: pg.Client,
    readonly client: pg.Client,
  ) {}

  static async create(): Promise<TenantsTable> {
    const name = `x_${randomUUID().replaceAll('-', '')}`;
    const url = new URL(requireTestDatabaseUrl());
    const server = new pg.Client({ connectionString: url.href });
    await server.connect();
    await server.query(`CREATE DATABASE ${name}`);
    url.pathname = `/${name}`;
    const client = new pg.Client({ connectionString: url.href });
    await client.connect();
    await client.query(
      `CREATE TABLE tenants (id text PRIMARY KEY, status text NOT NULL DEFAULT 'active', plan jsonb)`,
    );
    return new TenantsTable(name, server, client);
  }

  readonly database: TenantDatabase = {
    withTenant: (_tenantId, work) =>
      work({
        query: async (text, parameters) => {
          this.queries += 1;
          return (await this.client.query(text, [...(parameters ?? [])])).rows;
        },
      }),
  };

  async drop(): Promise<void> {
    await this.client.end();
    await this.server.query(`DROP DATABASE IF EXISTS ${this.name}`);
    await this.server.end();
  }
}
