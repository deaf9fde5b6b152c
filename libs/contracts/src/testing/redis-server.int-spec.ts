import { describe, expect, it, onTestFinished } from 'vitest';
import { RedisCluster, RedisServer } from './redis-server.js';

describe('a Redis server of a test', () => {
  it('takes settings, answers again after a restart, and has lost its data then', async () => {
    const server = await RedisServer.start({ 'maxmemory-policy': 'allkeys-lru' });
    onTestFinished(() => server.stop());
    expect(await server.command('config', 'get', 'maxmemory-policy')).toContain('allkeys-lru');
    await server.command('set', 'key', 'value');
    const { url } = server;
    await server.restart();
    expect(server.url).toBe(url);
    expect(await server.command('exists', 'key')).toBe('0');
  });

  it('forms a cluster in which every slot is served', async () => {
    const cluster = await RedisCluster.start();
    onTestFinished(() => cluster.stop());
    expect(cluster.endpoints).toHaveLength(3);
    for (const node of cluster.nodes)
      expect(await node.command('cluster', 'info')).toContain('cluster_slots_ok:16384');
  });
});
