import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ForeignApp } from './foreign-app.js';

describe('the packed metrics in a foreign Nest application (ES modules)', () => {
  let app: ForeignApp;

  beforeAll(async () => {
    app = await ForeignApp.install('03-metrics-only');
  }, 240_000);
  afterAll(() => app?.remove());

  const text = async (url: string, headers: Record<string, string> = {}) =>
    (await fetch(url, { headers })).text();
  const post = (url: string, body?: object) =>
    fetch(url, {
      method: 'POST',
      ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });

  it('brings one copy of what the application has already', async () => {
    for (const name of ['@nestjs/core', '@sparkle/contracts', 'prom-client'])
      expect(await app.copiesOf(name), name).toHaveLength(1);
  });

  describe.each(['fastify', 'express'])('on %s, with MetricsModule.forRoot() alone', (adapter) => {
    let address: string;
    beforeAll(async () => {
      address = await app.start({ ADAPTER: adapter });
    });

    it('counts requests by route, with their errors, and none of its own', async () => {
      for (const id of ['alpha-secret', 'beta-secret', 'unknown']) await fetch(`${address}/orders/${id}`);
      await fetch(`${address}/nowhere/gamma-secret`);
      const metrics = await text(`${address}/metrics`);
      const count = (labels: string) =>
        new RegExp(`^request_latency_seconds_count\\{${labels}\\} (\\d+)$`, 'm').exec(metrics)?.[1];
      expect(count('transport="http",method="GET",route="/orders/:id",status="2xx"')).toBe('2');
      expect(count('transport="http",method="GET",route="/orders/:id",status="4xx"')).toBe('1');
      expect(count('transport="http",method="GET",route="unmatched",status="4xx"')).toBe('1');
      expect(metrics).toMatch(/^request_errors_total\{.*type="NotFoundException".*\} 1$/m);
      expect(metrics).not.toContain('secret');
      expect(metrics).not.toContain('route="/metrics"');
      expect(metrics).toMatch(/^process_open_fds \d+$/m);
    });

    it('shows a metric of the application beside its own, and leaves the process-wide registry to it', async () => {
      await post(`${address}/orders`);
      expect(await text(`${address}/metrics`)).toMatch(/^orders_total 1$/m);
      const own = await text(`${address}/own-metrics`);
      expect(own).toMatch(/^orders_seen_total 2$/m);
      expect(own).not.toContain('request_latency_seconds');
      expect(await text(`${address}/metrics`)).not.toContain('orders_seen_total');
    });

    it('answers in the OpenMetrics format to whoever prefers it', async () => {
      const open = await text(`${address}/metrics`, { accept: 'application/openmetrics-text;version=1.0.0' });
      expect(open.endsWith('# EOF\n')).toBe(true);
      expect(open).toMatch(/^# TYPE orders counter$/m);
      expect(open).toMatch(/^orders_total \d+$/m);
    });

    it('is live, ready while its dependency is, and scores its performance', async () => {
      expect((await fetch(`${address}/health/live`)).status).toBe(200);
      expect((await fetch(`${address}/health/ready`)).status).toBe(200);
      await post(`${address}/orders/shop`, { open: false });
      const ready = await fetch(`${address}/health/ready`);
      expect(ready.status).toBe(503);
      expect(await ready.json()).toMatchObject({ dependencies: [{ name: 'shop', status: 'down' }] });
      const performance = await fetch(`${address}/health/performance`);
      expect(await performance.json()).toMatchObject({ scope: 'process', figures: { errorRate: 0 } });
    });
  });
});
