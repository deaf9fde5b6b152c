import { clipToTokens, contentTerms, sentences } from '../text.js';

/**
 * Picks the sentences that share most with the rest, in their own order, up to `maxTokens`. A sentence's
 * weight is the mean inverse-frequency-weighted reach of its words over all sentences (the idea of SumBasic,
 * Nenkova and Vanderwende 2005, with overlap removed as picking goes on).
 */
export function extractiveSummary(
  texts: readonly string[],
  maxTokens: number,
  countTokens: (text: string) => number,
): string {
  const candidates = texts
    .flatMap((text) => sentences(text))
    .map((text) => ({ text, terms: contentTerms(text, 40) }));
  const frequency = new Map<string, number>();
  for (const { terms } of candidates)
    for (const term of terms) frequency.set(term, (frequency.get(term) ?? 0) + 1);
  const pending = new Set(candidates.keys());
  const picked: number[] = [];
  const seen = new Set<string>();
  let left = maxTokens;
  while (pending.size > 0) {
    let best: number | undefined;
    let bestScore = -1;
    for (const index of pending) {
      const { terms } = candidates[index]!;
      const fresh = terms.filter((term) => !seen.has(term));
      const score = fresh.reduce((sum, term) => sum + frequency.get(term)!, 0) / Math.sqrt(terms.length + 1);
      if (score > bestScore) {
        best = index;
        bestScore = score;
      }
    }
    if (best === undefined || bestScore <= 0) break;
    pending.delete(best);
    const { text, terms } = candidates[best]!;
    const cost = countTokens(text) + 1;
    if (cost > left) continue;
    picked.push(best);
    left -= cost;
    for (const term of terms) seen.add(term);
  }
  if (picked.length === 0) return clipToTokens(texts.join(' ').trim(), maxTokens, countTokens);
  return clipToTokens(
    picked
      .sort((one, other) => one - other)
      .map((index) => candidates[index]!.text)
      .join(' '),
    maxTokens,
    countTokens,
  );
}
