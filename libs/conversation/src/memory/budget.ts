import { clipToTokens } from '../text.js';

/** Tokens a chat format spends around one message. */
export const MESSAGE_OVERHEAD = 4;

export interface Sized {
  readonly text: string;
  readonly tokens: number;
}

export interface SummaryText extends Sized {
  /** The summary in at most `maxTokens`; empty when that is too little. */
  shorten(maxTokens: number): string;
}

export interface BudgetInput<Item extends Sized, Extra extends Sized> {
  /** Oldest first. */
  readonly recent: readonly Item[];
  readonly summary?: SummaryText;
  /** Best first. */
  readonly recalled: readonly Extra[];
  readonly budget: number;
  /** Share of the budget a summary may take. */
  readonly summaryShare: number;
  readonly countTokens: (text: string) => number;
}

export interface Budgeted<Item, Extra> {
  /** The newest messages that fit, oldest first, without a gap. */
  readonly recent: readonly Item[];
  readonly summary?: Sized;
  readonly recalled: readonly Extra[];
  /** Never above the budget. */
  readonly tokens: number;
  /** True when something had to be left out or cut. */
  readonly truncated: boolean;
}

/**
 * Fits memory into its tokens. What a reply depends on most comes first: the last exchange, the summary (cut
 * to its share), the rest of the window from its newest message back, then recalled messages by rank. The
 * newest message is cut rather than left out.
 */
export function fitBudget<Item extends Sized, Extra extends Sized>(
  input: BudgetInput<Item, Extra>,
): Budgeted<Item, Extra> {
  const { recent, budget, countTokens } = input;
  const kept: Item[] = [];
  let left = Math.max(0, Math.floor(budget));
  let truncated = false;
  let at = recent.length - 1;

  const takeRecent = (until: number) => {
    for (; at >= until; at -= 1) {
      const item = recent[at]!;
      const cost = item.tokens + MESSAGE_OVERHEAD;
      if (cost > left) return false;
      kept.unshift(item);
      left -= cost;
    }
    return true;
  };

  let complete = takeRecent(Math.max(0, recent.length - 2));
  if (kept.length === 0 && recent.length > 0) {
    const newest = recent[recent.length - 1]!;
    const room = Math.floor(left * (input.summary ? 1 - input.summaryShare : 1)) - MESSAGE_OVERHEAD;
    const text = clipToTokens(newest.text, room, countTokens);
    if (text !== '') {
      const tokens = countTokens(text);
      kept.push({ ...newest, text, tokens });
      left -= tokens + MESSAGE_OVERHEAD;
    }
  }

  let summary: Sized | undefined;
  if (input.summary) {
    const room = Math.min(left, Math.floor(budget * input.summaryShare)) - MESSAGE_OVERHEAD;
    const fits = input.summary.tokens <= room;
    const text = fits ? input.summary.text : room > 0 ? input.summary.shorten(room) : '';
    if (text !== '') {
      summary = { text, tokens: fits ? input.summary.tokens : countTokens(text) };
      left -= summary.tokens + MESSAGE_OVERHEAD;
    }
    truncated = !fits;
  }

  if (complete) complete = takeRecent(0);
  const recalled: Extra[] = [];
  for (const item of input.recalled) {
    const cost = item.tokens + MESSAGE_OVERHEAD;
    if (cost > left) continue;
    recalled.push(item);
    left -= cost;
  }
  return {
    recent: kept,
    ...(summary && { summary }),
    recalled,
    tokens: Math.max(0, Math.floor(budget)) - left,
    truncated: truncated || !complete || recalled.length < input.recalled.length,
  };
}
