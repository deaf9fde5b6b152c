import { APP_GUARD } from '@nestjs/core';
import { ConcurrencyModule } from '@sparkle/concurrency';
import { type Principal, parseTenantId, type TenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import { EntityResolutionService, graphragMigrations } from '@sparkle/graphrag';
import { TenantRegistry, TokenService } from '@sparkle/runtime';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GatewayGuard } from '../src/gateway/gateway.guard.js';
import { Gateway } from '../src/gateway/gateway.js';
import { ResolutionsController } from '../src/routes/resolutions.controller.js';
import { type HttpApp, startHttpApp } from './http-app.js';

const tokens = new TokenService('a-key-that-is-long-enough-for-hmac-sha-256', new TestClock());
const PLAN = {
  qps: 100,
  burst: 100,
  permits: 1,
  threadShare: 1,
  tokenBudget: { tokens: 1, windowMs: 60_000 },
};
const id = (number: number) => `00000000-0000-8000-8000-${String(number).padStart(12, '0')}`;
const [MERCURY, QUICKSILVER] = [id(1), id(2)];
const [FIRST, SECOND] = [id(11), id(12)];

describe('decisions about entities over HTTP', () => {
  let app: HttpApp;
  let test: TestDatabase;
  let acme: TenantId;

  beforeAll(async () => {
    test = await createTestDatabase({ migrations: graphragMigrations });
    acme = await test.createTenant('acme');
    await test.createTenant('other');
    await test.database.withTenant(acme, async (sql) => {
      for (const [document, chunk] of [
        [FIRST, id(21)],
        [SECOND, id(22)],
      ])
        await sql.query(
          `WITH d AS (
             INSERT INTO documents (tenant_id, id, title, format, content, content_hash, byte_size, state, created_by)
             VALUES ('acme', $1::uuid, 'Mercury', 'text', 'Mercury', $1::uuid::text, 7, 'ready', 'ada'))
           INSERT INTO chunks (tenant_id, id, document_id, ordinal, content, start_offset, end_offset, token_count)
           VALUES ('acme', $2, $1::uuid, 0, 'Mercury', 0, 7, 1)`,
          [document, chunk],
        );
      await sql.query(
        `INSERT INTO knowledge_nodes (tenant_id, id, key, name, type) VALUES
           ('acme', $1, 'mercury', 'Mercury', 'term'), ('acme', $2, 'quicksilver', 'Quicksilver', 'term')`,
        [MERCURY, QUICKSILVER],
      );
      await sql.query(
        `INSERT INTO node_mentions (tenant_id, node_id, chunk_id, document_id) VALUES
           ('acme', $1, $3, $5), ('acme', $1, $4, $6), ('acme', $2, $4, $6)`,
        [MERCURY, QUICKSILVER, id(21), id(22), FIRST, SECOND],
      );
    });
    app = await startHttpApp({
      imports: [
        ConcurrencyModule.forRoot({ store: { kind: 'memory' }, plans: { kind: 'static', default: PLAN } }),
      ],
      controllers: [ResolutionsController],
      providers: [
        { provide: TokenService, useValue: tokens },
        { provide: EntityResolutionService, useValue: new EntityResolutionService(test.database) },
        { provide: TenantRegistry, useValue: { admit: async () => {} } },
        Gateway,
        { provide: APP_GUARD, useClass: GatewayGuard },
      ],
    });
  });
  afterAll(async () => {
    await app?.close();
    await test?.drop();
  });

  const call = async (
    path: string,
    body?: object,
    who: { scopes?: readonly string[]; tenant?: string } = {},
  ): Promise<{ status: number; body: Record<string, unknown> }> => {
    const principal: Principal = {
      tenantId: parseTenantId(who.tenant ?? 'acme'),
      userId: 'ada',
      scopes: who.scopes ?? ['admin'],
    };
    const response = await fetch(`${app.address}/v1/graph/${path}`, {
      method: body ? 'POST' : 'GET',
      headers: {
        authorization: `Bearer ${await tokens.issue(principal, 60)}`,
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  const merge = { mergeIds: [QUICKSILVER], reason: 'the same metal' };

  it('are for administrators only', async () => {
    for (const scopes of [['read'], ['read', 'write']]) {
      for (const [path, body] of [
        [`entities/${MERCURY}/merge`, merge],
        [`entities/${MERCURY}/split`, { documentIds: [FIRST], reason: 'x' }],
        ['resolutions', undefined],
        [`resolutions/${id(9)}/undo`, { reason: 'x' }],
      ] as const)
        expect(await call(path, body, { scopes })).toMatchObject({
          status: 403,
          body: { code: 'SCOPE_MISSING' },
        });
    }
  });

  it('are taken, listed with who took them, and undone', async () => {
    const merged = await call(`entities/${MERCURY}/merge`, merge);
    expect(merged).toMatchObject({
      status: 200,
      body: { kind: 'merge', actor: 'ada', reason: 'the same metal', target: { id: MERCURY } },
    });
    const split = await call(`entities/${MERCURY}/split`, {
      documentIds: [FIRST],
      name: 'Mercury (planet)',
      reason: 'astronomy',
    });
    expect(split).toMatchObject({ status: 200, body: { kind: 'split', target: { key: 'mercury planet' } } });
    const undone = await call(`resolutions/${split.body.id}/undo`, { reason: 'a mistake' });
    expect(undone).toMatchObject({ status: 200, body: { kind: 'undo', undoes: split.body.id } });
    const listed = await call(`resolutions?entity=${MERCURY}&limit=2`);
    expect(listed.body.resolutions).toMatchObject([
      { number: 3, kind: 'undo', createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) },
      { number: 2, kind: 'split', undoneBy: undone.body.id },
    ]);
    const older = await call('resolutions?before=2');
    expect(older.body.resolutions).toMatchObject([{ number: 1, kind: 'merge' }]);
  });

  it('answer what is wrong with a problem document', async () => {
    const wrong = async (path: string, body: object, who?: { tenant: string }) => {
      const answer = await call(path, body, who);
      return [answer.status, answer.body.code];
    };
    expect(await wrong('entities/mercury/merge', merge)).toEqual([400, 'REQUEST_INVALID']);
    expect(await wrong(`entities/${MERCURY}/merge`, { mergeIds: [], reason: 'x' })).toEqual([
      400,
      'REQUEST_INVALID',
    ]);
    expect(await wrong(`entities/${MERCURY}/merge`, { ...merge, reason: '   ' })).toEqual([
      400,
      'ARGUMENT_INVALID',
    ]);
    expect(await wrong(`entities/${id(5)}/merge`, merge)).toEqual([404, 'NODE_NOT_FOUND']);
    expect(await wrong(`resolutions/${id(5)}/undo`, { reason: 'x' })).toEqual([404, 'RESOLUTION_NOT_FOUND']);
    expect(await wrong(`entities/${MERCURY}/split`, { documentIds: [FIRST, SECOND], reason: 'x' })).toEqual([
      409,
      'RESOLUTION_REFUSED',
    ]);
    expect(await wrong(`entities/${MERCURY}/merge`, merge, { tenant: 'other' })).toEqual([
      404,
      'NODE_NOT_FOUND',
    ]);
  });
});
