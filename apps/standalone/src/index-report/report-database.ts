import { randomBytes } from 'node:crypto';
import pg from 'pg';

/**
 * Makes a database of its own on the server of `serverUrl`, hands its URL to `work`, and drops it afterwards.
 * Nothing else on the server is touched.
 */
export async function withOwnDatabase<T>(serverUrl: string, work: (url: string) => Promise<T>): Promise<T> {
  const name = `sparkle_index_report_${randomBytes(6).toString('hex')}`;
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  await onServer(serverUrl, `CREATE DATABASE ${name}`);
  try {
    return await work(url.href);
  } finally {
    await onServer(serverUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  }
}

async function onServer(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
