/**
 * A process that opens the data folder given as its argument and inserts numbers for ever, printing each
 * after its commit; or that prints the code of the error it got instead.
 */
import pg from 'pg';
import { EmbeddedPostgres } from '../src/embedded/index.js';

async function write(folder: string): Promise<void> {
  const postgres = await EmbeddedPostgres.start({ dataDir: folder });
  const client = new pg.Client(postgres.url);
  await client.connect();
  await client.query('CREATE TABLE IF NOT EXISTS written (n int PRIMARY KEY, padding text)');
  const { rows } = await client.query('SELECT coalesce(max(n), 0) AS last FROM written');
  for (let n = Number(rows[0].last) + 1; ; n++) {
    await client.query('BEGIN');
    await client.query('INSERT INTO written VALUES ($1, repeat($2, 2000))', [n, 'x']);
    await client.query('COMMIT');
    process.stdout.write(`${n}\n`);
  }
}

write(process.argv[2]!).catch((error: { code?: string; message: string }) => {
  process.stdout.write(`${error.code} ${error.message}\n`);
  process.exitCode = 1;
});
