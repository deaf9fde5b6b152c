import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SeededRandom } from '@sparkle/contracts';
import { afterEach, describe, expect, it } from 'vitest';
import { generateLoad } from '../src/checklist/load.js';
import { alertsOnFile } from '../src/checklist/prometheus.js';
import { coursePages, questionsAbout, workload } from '../src/checklist/workload.js';

function take<T>(count: number, source: Iterator<T, never>): T[] {
  return Array.from({ length: count }, () => source.next().value);
}

describe("the checklist's workload", () => {
  it('asks about every section of the course, each question once in the list', async () => {
    const questions = questionsAbout(await coursePages());
    expect(questions).toContain('What is Overfitting?');
    expect(new Set(questions).size).toBe(questions.length);
    expect(questions.length).toBeGreaterThan(100);
  });

  it('is the same for one seed and another for the next', () => {
    const of = (seed: number) => take(200, workload(['a', 'b', 'c'], ['x', 'y'], new SeededRandom(seed)));
    expect(of(1)).toEqual(of(1));
    expect(of(1)).not.toEqual(of(2));
  });

  it("asks popular questions more often, by Zipf's law, and has every kind of request", () => {
    const questions = Array.from({ length: 50 }, (_, index) => `question ${index}`);
    const requests = take(20_000, workload(questions, ['c'], new SeededRandom(3)));
    const answers = requests.filter(({ kind }) => kind === 'answer');
    const asked = (question: string) =>
      answers.filter(({ json }) => (json as { question: string }).question === question).length;
    expect(asked('question 0') / asked('question 9')).toBeGreaterThan(7);
    expect(asked('question 0') / asked('question 9')).toBeLessThan(14);
    expect(answers.length / requests.length).toBeCloseTo(0.7, 1);
    expect(new Set(requests.map(({ kind }) => kind))).toEqual(
      new Set(['answer', 'message', 'entities', 'progress']),
    );
  });
});

describe("the checklist's load", () => {
  let server: Server | undefined;

  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
  });

  async function serve(answer: (count: number) => { status: number; body: unknown } | undefined) {
    let count = 0;
    server = createServer((request, response) => {
      request.resume();
      const reply = answer(count++);
      if (!reply) return request.socket.destroy();
      response.writeHead(reply.status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(reply.body));
    });
    await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  const loadOn = (address: string) =>
    generateLoad({
      address,
      token: 'token',
      perSecond: 40,
      seconds: 2,
      requests: workload(['a', 'b'], ['c'], new SeededRandom(1)),
    });

  it('counts what was answered, by what, and what was refused with which code', async () => {
    const address = await serve((count) =>
      count % 10 === 0
        ? { status: 429, body: { code: 'RATE_LIMITED' } }
        : { status: 200, body: { cache: count % 2 === 0 ? 'exact' : 'miss' } },
    );
    const load = await loadOn(address);
    expect([...load.refused.keys()]).toEqual(['429 RATE_LIMITED']);
    expect(load.succeeded).toBe(72);
    expect(load.answers.exact).toBeGreaterThan(0);
    // Seven in ten requests are questions; what else is answered is not looked up in a cache.
    expect(load.answers.exact + load.answers.miss).toBeLessThan(load.succeeded);
    expect(load.answers.exact + load.answers.miss).toBeGreaterThan(load.succeeded / 2);
    expect(load.lost).toBe(0);
  });

  it('counts every request: answered, refused or lost with its connection', async () => {
    const address = await serve((count) =>
      count % 5 === 0 ? undefined : { status: count % 2 === 0 ? 200 : 503, body: {} },
    );
    const load = await loadOn(address);
    const refusals = [...load.refused.values()].reduce((sum, count) => sum + count, 0);
    expect(load.lost).toBeGreaterThan(0);
    expect(load.succeeded + refusals + load.lost).toBe(load.sent);
  });

  it('goes on sending while earlier requests are not answered, and counts their wait', async () => {
    const held: (() => void)[] = [];
    let received = 0;
    server = createServer((request, response) => {
      request.resume();
      received += 1;
      const answer = () => response.end('{}');
      held.push(answer);
      // The last request frees all.
      if (received === 40) for (const free of held) free();
    });
    await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
    const load = await generateLoad({
      address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      token: 'token',
      perSecond: 40,
      seconds: 1,
      requests: workload(['a'], ['c'], new SeededRandom(1)),
    });
    expect(load.succeeded).toBe(40);
    expect(load.p99Ms).toBeGreaterThan(load.p50Ms);
    expect(load.p50Ms).toBeGreaterThan(300);
  });
});

describe('the alerts on file', () => {
  it('are those of deploy/prometheus/rules', async () => {
    const alerts = await alertsOnFile();
    expect(alerts.length).toBeGreaterThan(5);
    expect(new Set(alerts).size).toBe(alerts.length);
  });
});
