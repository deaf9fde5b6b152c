import { parseTenantId, type TenantId } from '@sparkle/contracts';

export const FLOODER = parseTenantId('flooder');

export const othersOf = (count: number): TenantId[] =>
  Array.from({ length: count }, (_, index) => parseTenantId(`other-${index}`));

/** Does one piece of work for a tenant. */
export type Work = (tenantId: TenantId) => Promise<unknown>;

export interface Round {
  readonly others: readonly TenantId[];
  /** How many pieces of work the flooder keeps outstanding; each other tenant has one. */
  readonly flood: number;
  /** How long each other tenant pauses between two pieces of work, milliseconds. */
  readonly pauseMs: number;
  readonly durationMs: number;
}

/** Pieces of work per second that got done. */
export interface Throughput {
  readonly others: number;
  readonly flooder: number;
}

export async function measureThroughput(work: Work, round: Round): Promise<Throughput> {
  let measuring = false;
  let over = false;
  const done = { others: 0, flooder: 0 };
  const loop = async (tenantId: TenantId, pauseMs: number) => {
    const who = tenantId === FLOODER ? 'flooder' : 'others';
    while (!over) {
      await work(tenantId);
      if (measuring) done[who] += 1;
      if (pauseMs > 0 && !over) await pause(pauseMs);
    }
  };
  const flooding = Array.from({ length: round.flood }, () => loop(FLOODER, 0));
  // The others set in when the flood is at its height, and their first work is not counted.
  await pause(WARM_UP_MS);
  await Promise.all(round.others.map((tenantId) => work(tenantId)));
  const started = performance.now();
  measuring = true;
  const serving = round.others.map((tenantId) => loop(tenantId, round.pauseMs));
  await pause(round.durationMs);
  measuring = false;
  over = true;
  const seconds = (performance.now() - started) / 1000;
  await Promise.all([...flooding, ...serving]);
  return { others: done.others / seconds, flooder: done.flooder / seconds };
}

const WARM_UP_MS = 300;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
