import { type CanActivate, type ExecutionContext, Injectable, Module, UseGuards } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { afterEach, describe, expect, it } from 'vitest';
import { MetricsModule, profilingController } from '../index.js';

@Injectable()
class AdminGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, string> }>();
    return headers['x-admin'] === 'yes';
  }
}

@Module({
  imports: [MetricsModule.forRoot()],
  controllers: [
    profilingController({ path: 'debug', decorators: [UseGuards(AdminGuard)], callerOf: () => 'an admin' }),
  ],
})
class AppModule {}

describe('profiles of a foreign application', () => {
  let close: () => Promise<void> = async () => {};

  afterEach(() => close());

  async function start(platform: 'fastify' | 'express') {
    const adapter =
      platform === 'fastify' ? new FastifyAdapter({ forceCloseConnections: true }) : new ExpressAdapter();
    const app = await NestFactory.create(AppModule, adapter, { logger: false, forceCloseConnections: true });
    await app.listen(0, '127.0.0.1');
    close = () => app.close();
    const url = `${await app.getUrl()}/debug`;
    const ask = (method: 'GET' | 'POST', path: string, options: RequestInit = {}) =>
      fetch(`${url}/${path}`, { method, headers: { 'x-admin': 'yes' }, ...options });
    return { ask };
  }

  it.each(['fastify', 'express'] as const)(
    "are behind the application's own guard on %s",
    async (platform) => {
      const { ask } = await start(platform);
      for (const path of ['profiles/cpu', 'profiles/heap', 'profiles/heap-sampling'])
        expect((await ask('POST', path, { headers: {} })).status).toBe(403);
      expect((await ask('GET', 'event-loop', { headers: {} })).status).toBe(403);
    },
  );

  it.each(['fastify', 'express'] as const)('are files that no cache may keep on %s', async (platform) => {
    const { ask } = await start(platform);
    const response = await ask('POST', 'profiles/cpu?seconds=1');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-disposition')).toMatch(/filename="\d+-.*\.cpuprofile"/);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(((await response.json()) as { nodes: unknown[] }).nodes.length).toBeGreaterThan(1);
  });

  it('end on Express, too, when the client leaves in the middle of a heap snapshot', async () => {
    const { ask } = await start('express');
    const leaving = new AbortController();
    const response = await ask('POST', 'profiles/heap', {
      signal: leaving.signal,
      headers: { 'x-admin': 'yes' },
    });
    await response.body!.getReader().read();
    leaving.abort();
    await expect
      .poll(async () => (await ask('GET', 'event-loop?seconds=1')).status, { timeout: 10_000 })
      .toBe(200);
  });
});
