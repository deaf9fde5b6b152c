import type { FastifyAdapter } from '@nestjs/platform-fastify';
import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client';

/**
 * What an application writes by hand with prom-client, as its documentation shows: default metrics, and a latency
 * histogram and an error counter fed by hooks. It has no percentiles, rates, requests in progress, bounds or score.
 */
export function attachPromClient(adapter: FastifyAdapter): void {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const labelNames = ['method', 'route', 'status'];
  const latency = new Histogram({
    name: 'request_latency_seconds',
    help: 'Latency of requests',
    labelNames,
    buckets: [0.05, 0.1, 0.2, 0.5, 1, 2, 5],
    registers: [registry],
  });
  const errors = new Counter({
    name: 'request_errors_total',
    help: 'Failed requests',
    labelNames: ['status'],
    registers: [registry],
  });
  const instance = adapter.getInstance();
  instance.addHook('onResponse', (request, reply, done) => {
    const status = `${Math.floor(reply.statusCode / 100)}xx`;
    const route = request.routeOptions.url ?? 'unmatched';
    latency.observe({ method: request.method, route, status }, reply.elapsedTime / 1000);
    if (reply.statusCode >= 400) errors.inc({ status });
    done();
  });
}
