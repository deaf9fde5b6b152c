/** What happens to a document, in this order. Each step is recorded with its results in one transaction. */
export const INGESTION_STEPS = ['chunk', 'extract', 'resolve', 'embed', 'publish'] as const;

export type IngestionStep = (typeof INGESTION_STEPS)[number];

const PROGRESS: Record<IngestionStep, number> = {
  chunk: 0.05,
  extract: 0.3,
  resolve: 0.4,
  embed: 0.95,
  publish: 1,
};

/** The step after `step`; `undefined` after the last. */
export function stepAfter(step: IngestionStep | null): IngestionStep | undefined {
  return INGESTION_STEPS[step === null ? 0 : INGESTION_STEPS.indexOf(step) + 1];
}

/** Share of the work done once `step` is finished, in `[0, 1]`. */
export function progressAfter(step: IngestionStep): number {
  return PROGRESS[step];
}
