/**
 * How a conversation is shown to the model: whole; as its recent window; as summary and half a window; or as
 * those (the window alone while no summary exists) with old messages recalled.
 */
export type MemoryStrategy = 'full' | 'window' | 'summary-window' | 'recall';

export interface StrategyOptions {
  readonly fullBelow: number;
  readonly recallAbove: number;
  readonly window: number;
}

export interface MemoryPlan {
  readonly strategy: MemoryStrategy;
  /** First message shown; `length + 1` when none is. */
  readonly from: number;
  /** Messages shown only because no summary covers them yet. */
  readonly bridged: number;
  /** True when messages before `from` are searched. */
  readonly recalls: boolean;
  readonly usesSummary: boolean;
}

/** Messages shown beside a summary. */
export function halfWindow(options: Pick<StrategyOptions, 'window'>): number {
  return Math.max(1, Math.floor(options.window / 2));
}

/**
 * Chooses by length. `length` counts stored messages before the question; `summarisedTo` is the last of them
 * that a summary covers, 0 without one.
 *
 * Beside a summary, half a window is shown, and before it those messages that came after the summary, up to
 * `backlog` of them: as long as the worker keeps up, every message is either summarised or shown.
 */
export function planMemory(
  length: number,
  summarisedTo: number,
  options: StrategyOptions,
  backlog: number,
): MemoryPlan {
  if (length < options.fullBelow)
    return { strategy: 'full', from: 1, bridged: 0, recalls: false, usesSummary: false };
  const recalls = length > options.recallAbove;
  if (summarisedTo <= 0) {
    const from = Math.max(1, length - options.window + 1);
    return { strategy: recalls ? 'recall' : 'window', from, bridged: 0, recalls, usesSummary: false };
  }
  const windowFrom = Math.max(1, length - halfWindow(options) + 1);
  const from = Math.max(1, Math.min(windowFrom, Math.max(summarisedTo + 1, windowFrom - backlog)));
  return {
    strategy: recalls ? 'recall' : 'summary-window',
    from,
    bridged: windowFrom - from,
    recalls,
    usesSummary: true,
  };
}

/**
 * True when a summary is due: the conversation is no longer shown whole, and at least `backlog` messages
 * outside of the half window are in no summary.
 */
export function needsSummary(
  state: { readonly messageCount: number; readonly summarisedTo: number },
  options: Pick<StrategyOptions, 'fullBelow' | 'window'>,
  backlog: number,
): boolean {
  if (state.messageCount < options.fullBelow) return false;
  return state.messageCount - halfWindow(options) - state.summarisedTo >= backlog;
}
