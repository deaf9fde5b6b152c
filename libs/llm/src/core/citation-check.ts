export interface CitationCheck {
  /** The text without the markers that name nothing that was given. */
  readonly text: string;
  /** Ids that are cited and were given, each once, in the order of their first marker. */
  readonly cited: readonly string[];
  /** Ids that are cited but were not given, each once. */
  readonly rejected: readonly string[];
}

/** `[id]` or `[id, id]`; not the text of a Markdown link, and nothing with white space inside an id. */
const MARKER = /(\s?)\[([^[\]\s,;，；]{1,128}(?:\s*[,;，；]\s*[^[\]\s,;，；]{1,128})*)\](?!\()/gu;

/**
 * Checks the citation markers of a model's answer against the passages it was given. A bracket counts as a
 * marker when it names a given id, or looks like an id does: with a digit in it, or in the form of a given
 * one up to its digits. Other brackets, such as `[sic]`, are left alone.
 */
export function checkCitations(text: string, allowedIds: Iterable<string>): CitationCheck {
  const allowed = new Set(allowedIds);
  const shapes = new Set([...allowed].map(shapeOf));
  const cited = new Set<string>();
  const rejected = new Set<string>();
  const checked = text.replace(MARKER, (marker: string, space: string, inside: string) => {
    const ids = inside.split(/\s*[,;，；]\s*/u);
    const known = ids.filter((id) => allowed.has(id));
    if (known.length === 0 && !ids.some((id) => /\d/u.test(id) || shapes.has(shapeOf(id)))) return marker;
    for (const id of ids) (allowed.has(id) ? cited : rejected).add(id);
    return known.length > 0 ? space + known.map((id) => `[${id}]`).join('') : '';
  });
  return { text: checked, cited: [...cited], rejected: [...rejected] };
}

function shapeOf(id: string): string {
  return id.replace(/[0-9a-f]*\d[0-9a-f]*/gu, '#');
}
