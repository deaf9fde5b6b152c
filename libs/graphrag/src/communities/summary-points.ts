import type { SummaryPoint, SummarySource } from '../adapters/postgres/community.store.js';
import { foldText } from '../extract/entity-name.js';
import { analyse } from '../index/analyse.js';

const MARKER = /[[【]\s*(S\d+(?:\s*[,;，、]\s*S\d+)*)\s*[\]】]/gu;
/** Longer lines are not points. */
const MAX_CHARACTERS = 600;
/** This share of a line's terms must stand in the passages it is said to rest on. */
const SUPPORT = 0.5;
const SOURCES_PER_POINT = 4;

/**
 * The points of a summary with the passages they rest on. What a model writes is not believed: a line counts when
 * the passages it names, or if it names none the one that has most of its words, say at least half of it.
 *
 * @param sources by the ids that markers use, `S1`, `S2`, …
 */
export function summaryPoints(
  summary: string,
  sources: ReadonlyMap<string, SummarySource>,
  maxPoints: number,
): SummaryPoint[] {
  const terms = new Map([...sources].map(([id, source]) => [id, new Set(analyse(source.text))]));
  const folded = new Map([...sources].map(([id, source]) => [id, plain(source.text)]));
  const points: SummaryPoint[] = [];
  const seen = new Set<string>();
  for (const line of summary.split('\n')) {
    const named = [...line.matchAll(MARKER)].flatMap((match) => match[1]!.split(/\s*[,;，、]\s*/u));
    const text = line
      .replace(MARKER, '')
      .replace(/^\s*(?:[-*•]|\d+[.)、])\s*/u, '')
      .replace(/\s+/g, ' ')
      .replace(/\s+([.。])/u, '$1')
      .trim();
    if (text === '' || text.length > MAX_CHARACTERS || seen.has(plain(text))) continue;
    const known = [...new Set(named)].filter((id) => sources.has(id));
    const whole = plain(text);
    const copied = [...folded].find(([, source]) => source.includes(whole))?.[0];
    const rests = copied !== undefined ? [copied] : restsOn(text, known, terms);
    if (rests.length === 0) continue;
    seen.add(whole);
    const chunkIds = [...new Set(rests.flatMap((id) => sources.get(id)!.chunkIds))].slice(
      0,
      SOURCES_PER_POINT,
    );
    points.push({ text, chunkIds, verbatim: copied !== undefined });
    if (points.length === maxPoints) break;
  }
  return points;
}

/** The passages a line rests on: those it names that say something of it, or else the one that says most. */
function restsOn(
  text: string,
  named: readonly string[],
  terms: ReadonlyMap<string, ReadonlySet<string>>,
): string[] {
  const wanted = [...new Set(analyse(text))];
  if (wanted.length === 0) return [];
  const shared = (id: string) => wanted.filter((term) => terms.get(id)!.has(term)).length;
  const saying =
    named.length > 0
      ? named.filter((id) => shared(id) > 0)
      : [...terms.keys()].sort((a, b) => shared(b) - shared(a)).slice(0, 1);
  const said = wanted.filter((term) => saying.some((id) => terms.get(id)!.has(term))).length;
  return said >= SUPPORT * wanted.length ? saying : [];
}

function plain(text: string): string {
  return foldText(text).replace(/\s+/g, ' ').trim();
}
