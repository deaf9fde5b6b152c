import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { parseTenantId, TenantDatabase } from '@sparkle/contracts';
import { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  Database,
  DatabaseModule,
  DatabaseOptionsInvalidError,
  PartitionUpkeep,
  SlowQueryReport,
} from './index.js';
import { createTestDatabase, type TestDatabase } from './testing/index.js';

let db: TestDatabase;
beforeAll(async () => {
  db = await createTestDatabase();
  await db.createTenant('acme');
});
afterAll(() => db.drop());

function start(module: ReturnType<typeof DatabaseModule.forRoot>) {
  @Module({ imports: [module] })
  class App {}
  return NestFactory.createApplicationContext(App, { logger: false, abortOnError: false });
}

describe('DatabaseModule', () => {
  it.each([
    ['forRoot', () => DatabaseModule.forRoot({ url: db.url })],
    ['forRootAsync', () => DatabaseModule.forRootAsync({ useFactory: async () => ({ url: db.url }) })],
  ])(
    '%s provides the database under its port, and closes its connections with the application',
    async (_, module) => {
      const app = await start(module());
      const database = app.get(Database);
      expect(app.get(TenantDatabase)).toBe(database);
      expect(app.get(DataSource)).toBe(database.dataSource);
      expect(app.get(PartitionUpkeep)).toBeInstanceOf(PartitionUpkeep);
      expect(app.get(SlowQueryReport)).toBeInstanceOf(SlowQueryReport);
      const rows = await database.withTenant(parseTenantId('acme'), (tx) =>
        tx.query('SELECT id FROM tenants'),
      );
      expect(rows).toEqual([{ id: 'acme' }]);
      await app.close();
      expect(database.dataSource.isInitialized).toBe(false);
    },
  );

  it('refuses to start on wrong options and names every wrong path, never a value', async () => {
    const app = start(DatabaseModule.forRoot({ url: 'mysql://secret', pool: { size: 0, overflow: -1 } }));
    const error = await app.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(DatabaseOptionsInvalidError);
    expect(String(error)).toMatch(/url: .*pool\.size: .*pool\.overflow: /s);
    expect(String(error)).not.toMatch(/secret/);
  });

  it('refuses to start when the server cannot be reached, without telling the password', async () => {
    const app = start(DatabaseModule.forRoot({ url: 'postgres://ada:hunter2@127.0.0.1:1/app' }));
    await expect(app).rejects.toMatchObject({
      code: 'DATABASE_UNREACHABLE',
      message: expect.not.stringContaining('hunter2'),
    });
  });
});
