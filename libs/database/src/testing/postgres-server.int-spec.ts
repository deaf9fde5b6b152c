import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PostgresServer } from './postgres-server.js';

describe('a PostgreSQL server of a test', () => {
  let server: PostgresServer;

  beforeAll(async () => {
    server = await PostgresServer.start();
    await server.query('CREATE TABLE kept (id int)');
    await server.query('INSERT INTO kept VALUES (1)');
  });

  afterAll(() => server.stop());

  it('has pgvector', async () => {
    await server.query('CREATE EXTENSION vector');
    expect(await server.query(`SELECT '[1,2]'::vector AS v`)).toEqual([{ v: '[1,2]' }]);
  });

  it('has its data and its port after a kill and after a shutdown', async () => {
    const { url } = server;
    await server.restart();
    await server.shutDown();
    await expect(server.query('SELECT 1')).rejects.toThrow();
    await server.restart();
    expect(server.url).toBe(url);
    expect(await server.query('SELECT id FROM kept')).toEqual([{ id: 1 }]);
  });

  it('does not answer while it is stalled', async () => {
    await server.stall();
    let answered = false;
    const asked = server.query('SELECT 1').then(() => {
      answered = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(answered).toBe(false);
    await server.resume();
    await asked;
  });

  it('has replicas that follow and refuse writes', async () => {
    const replica = await server.startReplica();
    try {
      expect(await replica.query('SELECT id FROM kept')).toEqual([{ id: 1 }]);
      await expect(replica.query('INSERT INTO kept VALUES (2)')).rejects.toThrow(/read-only/);
    } finally {
      await replica.stop();
    }
  });
});
