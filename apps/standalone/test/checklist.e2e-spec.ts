import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SeededRandom } from '@sparkle/contracts';
import { CHECKLIST_ITEMS, type ChecklistItem } from '@sparkle/runtime';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generateLoad } from '../src/checklist/load.js';
import { workload } from '../src/checklist/workload.js';
import { RunningApp, tokenOf } from './running-app.js';

const KEY = randomBytes(32).toString('hex');

describe('the production checklist of a running product', () => {
  let folder: string;
  let app: RunningApp;
  let operator: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sparkle-checklist-test-'));
    app = await RunningApp.start('standalone', {
      SPARKLE_DATA: join(folder, 'data'),
      SPARKLE_JWT_KEY: KEY,
      // Nobody answers there.
      SPARKLE_PROMETHEUS_URL: 'http://127.0.0.1:9',
    });
    operator = await tokenOf(KEY, 'demo', 'olga', { scopes: ['read', 'write', 'operator'] });
  });

  afterAll(async () => {
    expect(await app?.stop()).toBe(0);
    await rm(folder, { recursive: true, force: true });
  });

  const measure = async (query = '') => {
    const { status, body } = await app.send(`/v1/operations/checklist${query}`, { token: operator });
    expect(status).toBe(200);
    const items: ChecklistItem[] = body.items;
    return new Map(items.map((item) => [item.item, item]));
  };

  it("is for the operator: a tenant's administrator is refused", async () => {
    const token = await tokenOf(KEY, 'demo', 'alice', { scopes: ['read', 'write', 'admin'] });
    const { status, body } = await app.send('/v1/operations/checklist', { token });
    expect([status, body.code]).toEqual([403, 'SCOPE_MISSING']);
  });

  it('names what is wrong with a target', async () => {
    const { status, body } = await app.send('/v1/operations/checklist?qps=many', { token: operator });
    expect(status).toBe(400);
    expect(JSON.stringify(body)).toContain('qps');
  });

  it('has every item in its order, and says why it did not measure one', async () => {
    const items = [...(await measure()).values()];
    expect(items.map(({ item }) => item)).toEqual([...CHECKLIST_ITEMS]);
    for (const { measured, status, how } of items) {
      expect(measured === null).toBe(status === 'not-measured');
      expect(how).not.toBe('');
    }
  });

  it('tries a lease in the store of the product, and looks at the pool', async () => {
    const items = await measure();
    expect(items.get('lock-lease')).toMatchObject({ status: 'pass' });
    expect(items.get('pool')).toMatchObject({ status: 'pass' });
  });

  it('says that alerts are not measured when no Prometheus answers', async () => {
    expect((await measure()).get('alerts')).toMatchObject({
      status: 'not-measured',
      how: 'failed: TypeError',
    });
  });

  it('judges the load of the last minutes by its figures', async () => {
    const questions = ['What is Overfitting?', 'What is Deep learning?'];
    const { body } = await app.send('/v1/conversations', { token: operator, json: {} });
    const load = await generateLoad({
      address: app.address,
      token: operator,
      perSecond: 10,
      seconds: 3,
      requests: workload(questions, [body.id], new SeededRandom(5)),
    });
    expect([load.succeeded, load.lost, [...load.refused]]).toEqual([30, 0, []]);
    const items = await measure('?qps=1000000');
    expect(items.get('p95')).toMatchObject({ status: 'pass' });
    expect(items.get('error-rate')).toMatchObject({ status: 'pass', measured: '0.0 %' });
    expect(items.get('hit-rate')?.measured).toMatch(/%$/);
    expect(items.get('target-qps')).toMatchObject({ status: 'fail', target: '>= 1000000/s' });
  });
});
