import type { CommunitySearch } from '../communities/community.service.js';
import type { RetrievalContext } from './build-context.js';

/** Share of the token budget that communities may take of a question about the whole corpus. */
export const COMMUNITY_SHARE = 0.7;

/** A context that begins with what communities say. */
export function joinContexts(
  { context }: Pick<CommunitySearch, 'context'>,
  rest: RetrievalContext,
): RetrievalContext {
  const sources = new Map(rest.sources);
  for (const [id, points] of context.points) sources.set(id, { kind: 'community', points });
  return {
    passages: [...context.passages, ...rest.passages],
    sources,
    tokens: context.tokens + rest.tokens,
  };
}
