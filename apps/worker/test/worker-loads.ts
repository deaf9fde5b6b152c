import type { RuntimeConfig } from '@sparkle/runtime';

/** Every queue running so many jobs at once. */
export function atOnce(concurrency: number): RuntimeConfig['queues'] {
  return {
    ingestion: { concurrency },
    summaries: { concurrency },
    communities: { concurrency },
    warmup: { concurrency },
    maintenance: { concurrency },
  };
}
