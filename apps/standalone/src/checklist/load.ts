import { send } from '../processes/running-application.js';
import type { WorkloadRequest } from './workload.js';

/** What came of a load. */
export interface LoadResult {
  readonly sent: number;
  readonly succeeded: number;
  /** Answered with another status than 2xx, by status and problem code. */
  readonly refused: ReadonlyMap<string, number>;
  /** Connections lost. */
  readonly lost: number;
  /** Successes per second, from the first request until the last answer. */
  readonly perSecond: number;
  /** From when a request was due, whether or not it could be sent then: what is late counts. */
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  /** Answers to questions asked once, by what served them; messages of conversations are not looked up. */
  readonly answers: Readonly<Record<'exact' | 'semantic' | 'miss', number>>;
}

export interface LoadSettings {
  readonly address: string;
  readonly token: string;
  /** Requests per second, evenly spaced, sent whether or not the earlier ones were answered. */
  readonly perSecond: number;
  readonly seconds: number;
  readonly requests: Iterator<WorkloadRequest, never>;
}

/**
 * Sends requests at a constant rate as an open system does: what is slow does not keep the next from being sent, so
 * that no latency is omitted (Schroeder, Wierman and Harchol-Balter, "Open Versus Closed", NSDI 2006).
 */
export async function generateLoad(settings: LoadSettings): Promise<LoadResult> {
  const { address, token, perSecond, seconds, requests } = settings;
  const refused = new Map<string, number>();
  const answers = { exact: 0, semantic: 0, miss: 0 };
  const latencies: number[] = [];
  const total = Math.round(perSecond * seconds);
  let lost = 0;
  const one = async (dueAt: number) => {
    const { kind, method, path, json } = requests.next().value;
    try {
      const { status, body } = await send(address, path, { method, token, json });
      if (status < 200 || status >= 300) {
        const what = `${status} ${body?.code ?? ''}`.trim();
        refused.set(what, (refused.get(what) ?? 0) + 1);
        return;
      }
      latencies.push(performance.now() - dueAt);
      const outcome: unknown = kind === 'answer' ? body?.cache : undefined;
      if (outcome === 'exact' || outcome === 'semantic' || outcome === 'miss') answers[outcome] += 1;
    } catch {
      lost += 1;
    }
  };
  const startedAt = performance.now();
  const underWay: Promise<void>[] = [];
  for (let index = 0; index < total; index++) {
    const dueAt = startedAt + (index * 1000) / perSecond;
    const wait = dueAt - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    underWay.push(one(dueAt));
  }
  await Promise.all(underWay);
  const elapsed = (performance.now() - startedAt) / 1000;
  latencies.sort((a, b) => a - b);
  const percentile = (share: number) =>
    latencies[Math.max(0, Math.ceil(latencies.length * share) - 1)] ?? Number.POSITIVE_INFINITY;
  return {
    sent: total,
    succeeded: latencies.length,
    refused,
    lost,
    perSecond: latencies.length / elapsed,
    p50Ms: percentile(0.5),
    p95Ms: percentile(0.95),
    p99Ms: percentile(0.99),
    answers,
  };
}
