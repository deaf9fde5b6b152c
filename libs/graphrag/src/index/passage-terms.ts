import type { SnapshotChunk, SnapshotNode } from '../model.js';
import { analyse } from './analyse.js';

/** Type of an edge of which only is known that its ends occur together. */
export const UNSTATED_RELATION = 'related_to';

/** What the keyword search sees of a chunk; its terms fill `chunks.terms`. */
export function passageText(chunk: Pick<SnapshotChunk, 'documentTitle' | 'headings' | 'text'>): string {
  const headings = chunk.headings.filter((heading) => heading !== chunk.documentTitle);
  return [chunk.documentTitle, ...headings, chunk.text].join('\n');
}

/** A statement of an edge as keyword search sees it. */
export interface StatedTriple {
  readonly source: string;
  readonly type: string;
  readonly target: string;
  readonly statement: string;
}

/** The statement's terms, and of the triple those that the statement does not have. */
export function factTerms({ source, type, target, statement }: StatedTriple): string[] {
  const terms = analyse(statement);
  const seen = new Set(terms);
  const relation = type === UNSTATED_RELATION ? '' : type.replaceAll('_', ' ');
  for (const term of analyse(`${source} ${relation} ${target}`)) if (!seen.has(term)) terms.push(term);
  return terms;
}

/** Terms of a node's names, by which names that are not written in full are found. */
export function nameTerms({ name, aliases }: Pick<SnapshotNode, 'name' | 'aliases'>): string[] {
  return analyse([name, ...aliases].join('\n'));
}
