import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { readAlertRules } from './alert-rules.js';

let server: Server | undefined;

afterEach(() => {
  server?.close();
});

/** Answers as Prometheus 2.42 does, with what `replies` says for each path. */
async function prometheus(replies: Record<string, unknown>): Promise<string> {
  server = createServer((request, response) => {
    const reply = replies[new URL(request.url ?? '', 'http://prometheus').pathname];
    response.statusCode = reply === undefined ? 404 : 200;
    response.end(
      typeof reply === 'string' ? reply : JSON.stringify({ status: 'success', data: reply ?? {} }),
    );
  });
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('readAlertRules', () => {
  it('counts the alerts, names the rules that do not evaluate, and counts the targets', async () => {
    const url = await prometheus({
      '/api/v1/rules': {
        groups: [
          { rules: [{ name: 'Slow', type: 'alerting', health: 'ok' }] },
          { rules: [{ name: 'job:ratio', type: 'recording', health: 'err' }] },
        ],
      },
      '/api/v1/targets': { activeTargets: [{ health: 'up' }, { health: 'down' }] },
    });
    expect(await readAlertRules(url)).toEqual({
      alerts: ['Slow'],
      failing: ['job:ratio'],
      targetsUp: 1,
      targets: 2,
    });
  });

  it.each([
    ['answers with an error', {}],
    ['answers with something else', { '/api/v1/rules': '<html>', '/api/v1/targets': '<html>' }],
  ])('refuses a server that %s', async (_, replies) => {
    await expect(readAlertRules(await prometheus(replies))).rejects.toThrow(/not as Prometheus does/);
  });
});
