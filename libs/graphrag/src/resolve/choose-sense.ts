import type { EntityType } from '../model.js';
import {
  hypernymsMeet,
  type NameContext,
  relatedness,
  sharedNeighbours,
  typesConflict,
} from './name-context.js';

export interface Sense {
  readonly type: EntityType;
  readonly context: NameContext;
}

export interface SenseCandidate extends Sense {
  /** The node has the bare name, not one that says which it is, such as `Mercury (planet)`. */
  readonly plain: boolean;
  /** The name stands for several things by the node's own account. */
  readonly qualified: boolean;
}

/**
 * From here on contexts are about one thing. Measured with the local embedder on pairs of sentences about the
 * same and about different things of one name: 0.30–0.63 against −0.10–0.34 in English, 0.07–0.29 against 0 in
 * Chinese. Below, they are kept apart.
 */
export const RELATED = 0.35;
/** How much nearer than the next the nearest of several candidates must be. */
export const MARGIN = 0.1;

/**
 * Which of several nodes a document means by a name, or `undefined` for none of them. One name has one meaning
 * within a document (Gale, Church, Yarowsky 1992), so this is asked once per document and name.
 *
 * In this order: what the name is said to be; the names around it; the embedding of what is said about it, with
 * a margin. A candidate of another type or kind is taken only when the contexts say so. What stays open is the
 * node with the plain name, if one does not contradict.
 */
export function chooseSense(mention: Sense, candidates: readonly SenseCandidate[]): number | undefined {
  const weighed = candidates.map((candidate, index) => {
    const { context } = candidate;
    const agrees = hypernymsMeet(mention.context.hypernyms, context.hypernyms);
    return {
      ...candidate,
      index,
      agrees,
      conflicts:
        !agrees &&
        (typesConflict(mention.type, candidate.type) ||
          (mention.context.hypernyms.size > 0 && context.hypernyms.size > 0)),
      shared: sharedNeighbours(mention.context, context),
      related: relatedness(mention.context, context),
    };
  });
  const agreeing = weighed.filter(({ agrees }) => agrees);
  if (agreeing.length === 1) return agreeing[0]!.index;
  const possible = agreeing.length > 1 ? agreeing : weighed.filter(({ conflicts }) => !conflicts);
  if (possible.length === 0) {
    const [best] = [...weighed].sort((a, b) => b.shared - a.shared || (b.related ?? 0) - (a.related ?? 0));
    return best && (best.shared >= 2 || (best.related ?? 0) >= RELATED) ? best.index : undefined;
  }
  if (possible.length === 1) {
    const [only] = possible;
    const sure = !only!.qualified || only!.agrees || only!.shared > 0 || (only!.related ?? 0) >= RELATED;
    return sure ? only!.index : undefined;
  }
  const [first, second] = [...possible].sort((a, b) => b.shared - a.shared);
  if (first!.shared > 0 && first!.shared >= 2 * second!.shared) return first!.index;
  const [nearest, next] = [...possible].sort((a, b) => (b.related ?? -1) - (a.related ?? -1));
  if (
    nearest!.related !== undefined &&
    nearest!.related - (next!.related ?? -1) >= MARGIN &&
    nearest!.related > MARGIN
  )
    return nearest!.index;
  return possible.find(({ plain }) => plain)?.index;
}
