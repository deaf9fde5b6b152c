import type { EntityType, ExtractedEntity, ExtractedRelation, Extraction } from '../model.js';
import { normaliseEntityName } from './entity-name.js';
import type { ExtractionRequest, Extractor } from './extractor.port.js';
import { extractByRules } from './rule-based-extractor.js';

/** What somebody extracted from one passage beforehand, e.g. a line of `openie.jsonl` with its passage. */
export interface PreparedPassage {
  readonly title: string;
  readonly text: string;
  readonly entities: readonly string[];
  /** Subject, predicate, object; a triple of another length is left out. */
  readonly triples: readonly (readonly string[])[];
}

/**
 * Serves entities and triples that were extracted elsewhere, and the fallback's extraction for other passages.
 * A chunk that is only a part of a prepared passage gets what names occur in it.
 */
export class PreparedExtractor implements Extractor {
  readonly id: string;
  private readonly byTitle = new Map<string, PreparedPassage[]>();

  constructor(
    passages: Iterable<PreparedPassage>,
    private readonly fallback: Extractor,
    id = 'prepared',
  ) {
    this.id = `${id}+${fallback.id}`;
    for (const passage of passages) {
      const known = this.byTitle.get(passage.title);
      if (known) known.push(passage);
      else this.byTitle.set(passage.title, [passage]);
    }
  }

  async extract(request: ExtractionRequest): Promise<Extraction> {
    request.signal?.throwIfAborted();
    const passage = this.byTitle.get(request.documentTitle)?.find(({ text }) => text.includes(request.text));
    if (!passage) return this.fallback.extract(request);
    return merge(prepared(passage, request), extractByRules(request));
  }
}

function prepared(passage: PreparedPassage, request: ExtractionRequest): Extraction {
  const whole = request.text.length >= passage.text.trim().length;
  const text = request.text.toLowerCase();
  const within = (name: string) => whole || text.includes(name.toLowerCase());
  const entities = new Map<string, ExtractedEntity>();
  const entityOf = (raw: string): string | undefined => {
    const name = raw.trim();
    const key = normaliseEntityName(name);
    if (key === '') return undefined;
    const known = entities.get(key);
    if (known) return known.name;
    entities.set(key, { name, type: typeOf(name), aliases: [], confidence: 0.9, mentions: 1 });
    return name;
  };
  for (const name of passage.entities) if (within(name)) entityOf(name);
  const relations: ExtractedRelation[] = [];
  for (const [subject, predicate, object] of passage.triples) {
    if (subject === undefined || predicate === undefined || object === undefined) continue;
    if (!within(subject) || !within(object)) continue;
    const source = entityOf(subject);
    const target = entityOf(object);
    if (source === undefined || target === undefined || source === target) continue;
    relations.push({
      source,
      target,
      type: relationType(predicate),
      statement: `${subject} ${predicate} ${object}`,
      confidence: 0.9,
    });
  }
  return { entities: [...entities.values()], relations };
}

/** `first published in` → `first_published_in`. */
export function relationType(predicate: string): string {
  return (
    normaliseEntityName(predicate)
      .replace(/[^\p{L}\p{N}]+/gu, '_')
      .slice(0, 60) || 'related_to'
  );
}

function typeOf(name: string): EntityType {
  if (/^(?:\d{1,2} )?(?:\p{Lu}\p{L}+ )?(?:\d{1,2}, )?\d{4}s?$/u.test(name)) return 'date';
  return /^[\d.,%$€£]+$/.test(name) ? 'number' : 'term';
}

/** Both extractions; where they name the same entity, the first one's writing stays. */
function merge(first: Extraction, second: Extraction): Extraction {
  const entities = new Map<string, ExtractedEntity>();
  const spelling = new Map<string, string>();
  for (const entity of [...first.entities, ...second.entities]) {
    const key = normaliseEntityName(entity.name);
    const known = entities.get(key);
    if (known) {
      entities.set(key, {
        ...known,
        aliases: [...new Set([...known.aliases, ...entity.aliases])],
        confidence: Math.max(known.confidence, entity.confidence),
        mentions: Math.max(known.mentions ?? 1, entity.mentions ?? 1),
      });
    } else entities.set(key, entity);
    spelling.set(entity.name, entities.get(key)!.name);
  }
  const relations = [...first.relations, ...second.relations].map((relation) => ({
    ...relation,
    source: spelling.get(relation.source) ?? relation.source,
    target: spelling.get(relation.target) ?? relation.target,
  }));
  return { entities: [...entities.values()], relations };
}
