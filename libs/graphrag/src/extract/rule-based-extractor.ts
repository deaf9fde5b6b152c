import { splitSentences, type TextSpan } from '../ingest/sentences.js';
import type { EntityType, ExtractedEntity, ExtractedRelation, Extraction } from '../model.js';
import { findChineseSpans, findGlosses } from './chinese-spans.js';
import { type EntitySpan, findEnglishSpans } from './english-spans.js';
import { isAcronymOf, normaliseEntityName } from './entity-name.js';
import type { ExtractionRequest, Extractor } from './extractor.port.js';
import { type NameDictionary, nameUnits } from './name-dictionary.js';
import {
  participleBefore,
  prepositionOnly,
  relationBetween,
  relationToDate,
  verbOfRelation,
} from './relation-between.js';
import { findPatternRelations, type PatternRelation } from './relation-patterns.js';

/** A title's weight among its passage's mentions. */
const TITLE_MENTIONS = 4;
/** Below what learning paths follow by default. */
const UNSURE_PREREQUISITE = 0.7;
const MAX_ENTITIES = 200;
const MAX_RELATIONS = 400;
/** A sentence with more names than this is a list: its neighbours are not related pairwise. */
const MAX_ENTITIES_IN_SENTENCE = 24;

/**
 * Extracts without a model, from the writing alone: names by capitals, quotes and dictionary, dates, acronyms
 * with their expansion, definitions, hypernyms, prerequisites, and the verb phrase between neighbouring names of
 * a sentence. The document's title is an entity of each passage and the subject of sentences that begin with a
 * pronoun. English and Chinese.
 */
export class RuleBasedExtractor implements Extractor {
  readonly id = 'rules-2';

  async extract(request: ExtractionRequest): Promise<Extraction> {
    request.signal?.throwIfAborted();
    return extractByRules(request);
  }
}

/** {@link RuleBasedExtractor} as a function. */
export function extractByRules(request: Omit<ExtractionRequest, 'tenantId' | 'signal'>): Extraction {
  const { text } = request;
  const gathered = new EntityGatherer();
  const title = gathered.add(request.documentTitle, 'concept', 1, TITLE_MENTIONS);
  const shortTitle = request.documentTitle.replace(/\s*[(（][^()（）]*[)）]\s*$/, '').trim();
  if (title !== undefined && shortTitle !== '' && shortTitle !== request.documentTitle)
    gathered.alias(title, shortTitle);
  for (const heading of request.headings) {
    if (heading.length <= 80) gathered.add(heading, 'concept', 0.8, 2);
  }

  for (const { name, glosses } of findGlosses(text)) {
    const key = gathered.add(name, 'concept', 0.8, 1);
    if (key !== undefined) for (const gloss of glosses) gathered.alias(key, gloss);
  }

  const sentences = splitSentences(text);
  const relations = new RelationGatherer();
  const reader = new SentenceReader(text, gathered, relations, {
    title,
    heading: request.headings.length > 0 ? gathered.keyOf(request.headings.at(-1)!) : undefined,
    known: request.known,
  });
  const spans = findSpans(request, sentences);
  let at = 0;
  for (const sentence of sentences) {
    const inside: EntitySpan[] = [];
    while (at < spans.length && spans[at]!.start < sentence.end) {
      if (spans[at]!.start >= sentence.start) inside.push(spans[at]!);
      at += 1;
    }
    reader.read(sentence, inside);
  }
  return { entities: gathered.result(), relations: relations.result(gathered) };
}

function findSpans(
  request: Pick<ExtractionRequest, 'text' | 'known'>,
  sentences: readonly TextSpan[],
): EntitySpan[] {
  const { text, known } = request;
  const starts = new Set(sentences.map((sentence) => sentence.start));
  const spans = findEnglishSpans(text, starts);
  if (/\p{Script=Han}/u.test(text)) spans.push(...findChineseSpans(text));
  if (known) {
    const units = nameUnits(text);
    for (const match of known.findLongest(units)) {
      const start = units[match.first]!.start;
      const end = units[match.last - 1]!.end;
      spans.push({ start, end, name: text.slice(start, end), type: 'concept', confidence: 0.9 });
    }
  }
  spans.sort((left, right) => left.start - right.start || right.end - left.end);
  return spans;
}

interface FoundMention {
  readonly key: string;
  readonly start: number;
  readonly end: number;
  readonly date: boolean;
}

/** A pronoun, or a demonstrative whose noun stands for something named before. */
const PRONOUN = /^(?:(?:He|She|It|They|His|Her|Its|Their)\b|[他她它其])/;
const DEMONSTRATIVE = /^(?:(?:The|This)\b|[这该])/;

/** Reads the sentences of one passage in order and remembers what a pronoun would stand for. */
class SentenceReader {
  /** Subject of the sentence before, in the same paragraph. */
  private topic: string | undefined;
  private lastEnd = 0;

  constructor(
    private readonly text: string,
    private readonly entities: EntityGatherer,
    private readonly relations: RelationGatherer,
    private readonly about: {
      readonly title: string | undefined;
      readonly heading: string | undefined;
      readonly known: NameDictionary | undefined;
    },
  ) {}

  read(sentence: TextSpan, spans: readonly EntitySpan[]): void {
    const { text, entities, relations } = this;
    const { title } = this.about;
    if (/\n\s*\n/.test(text.slice(this.lastEnd, sentence.start))) this.topic = undefined;
    this.lastEnd = sentence.end;
    const statement = text.slice(sentence.start, sentence.end).replace(/\s+/g, ' ');
    const found: FoundMention[] = [];
    for (const span of spans) {
      const key = entities.add(span.name, span.type, span.confidence, 1);
      if (key !== undefined)
        found.push({ key, start: span.start, end: span.end, date: span.type === 'date' });
    }
    readAcronyms(text, found, entities);

    const antecedent = this.topic ?? this.about.heading ?? title;
    for (const relation of findPatternRelations(statement)) {
      const source =
        relation.source === undefined
          ? antecedent
          : entities.add(relation.source, 'concept', relation.confidence, 1);
      const target = entities.add(relation.target, 'concept', relation.confidence, 1);
      if (source === undefined || target === undefined || source === target) continue;
      if (relation.type === 'also_known_as') entities.alias(source, relation.target);
      else relations.add(source, target, relation.type, statement, this.belief(relation, source, target));
    }
    if (found.length > MAX_ENTITIES_IN_SENTENCE) return;
    this.relateNeighbours(sentence, statement, found, antecedent);
    const opening = found[0];
    if (
      opening &&
      !opening.date &&
      /^(?:["“《'(]|(?:The|An?) )*$/u.test(text.slice(sentence.start, opening.start))
    )
      this.topic = opening.key;
  }

  /**
   * A stated prerequisite counts for learning paths when both ends are concepts the tenant has already: what a
   * sentence lists may be any noun.
   */
  private belief({ type, confidence }: PatternRelation, source: string, target: string): number {
    const { known } = this.about;
    if (type !== 'prerequisite_of') return confidence;
    const both = known !== undefined && [source, target].every((key) => known.get(key).length > 0);
    return both ? confidence : Math.min(confidence, UNSURE_PREREQUISITE);
  }

  private relateNeighbours(
    sentence: TextSpan,
    statement: string,
    found: readonly FoundMention[],
    antecedent: string | undefined,
  ): void {
    const { text, relations } = this;
    const { title } = this.about;
    const opening = text.slice(sentence.start, sentence.start + 24);
    const pronoun = PRONOUN.exec(opening);
    const demonstrative = pronoun ? null : DEMONSTRATIVE.exec(opening);
    const stands = pronoun ?? demonstrative;
    let previous: { key: string; end: number } | undefined =
      stands && antecedent !== undefined
        ? { key: antecedent, end: sentence.start + stands[0].length }
        : undefined;
    const subject = previous ?? found[0];
    let chain: { readonly source: string; readonly verb: string } | undefined;
    for (const [index, mention] of found.entries()) {
      if (previous && mention.start < previous.end) continue;
      const between = previous && text.slice(previous.end, mention.start);
      if (previous && between !== undefined && previous.key !== mention.key) {
        const subjectNoun = demonstrative !== null && index === 0;
        const { type, confidence } = relationBetween(between, { subjectNoun });
        const dated = !mention.date || relationToDate(type);
        relations.add(
          previous.key,
          mention.key,
          dated ? type : 'related_to',
          statement,
          dated ? confidence : 0.3,
        );
        const verb = dated ? verbOfRelation(type) : undefined;
        const preposition = prepositionOnly(between);
        if (verb !== undefined) chain = { source: previous.key, verb };
        else if (chain && preposition !== undefined && chain.source !== mention.key) {
          relations.add(chain.source, mention.key, `${chain.verb}_${preposition}`, statement, 0.65);
        } else chain = undefined;
      }
      if (subject && subject.key !== mention.key && subject.end < mention.start) {
        const participle = participleBefore(text.slice(subject.end, mention.start));
        if (participle !== undefined) relations.add(subject.key, mention.key, participle, statement, 0.65);
      }
      if (title !== undefined && mention.key !== title && previous?.key !== title)
        relations.add(title, mention.key, 'related_to', statement, 0.3);
      previous = mention;
    }
  }
}

/** `Support Vector Machine (SVM)`: the names are one entity. */
function readAcronyms(text: string, found: FoundMention[], entities: EntityGatherer): void {
  for (let i = 0; i + 1 < found.length; i += 1) {
    const long = found[i]!;
    const short = found[i + 1]!;
    const gap = text.slice(long.end, short.start);
    if (!/^\s?[(（]$/.test(gap) || !/^[)）,;]/.test(text.slice(short.end))) continue;
    const name = text.slice(short.start, short.end);
    if (!isAcronymOf(name, text.slice(long.start, long.end))) continue;
    entities.merge(short.key, long.key, name);
    found[i + 1] = { ...short, key: long.key };
  }
}

interface GatheredEntity {
  name: string;
  type: EntityType;
  confidence: number;
  mentions: number;
  aliases: Map<string, string>;
}

/** Entities by normal form, in order of appearance. */
class EntityGatherer {
  private readonly byKey = new Map<string, GatheredEntity>();
  private readonly mergedInto = new Map<string, string>();

  /** The key under which the entity is kept; undefined for a name that cannot be one. */
  add(name: string, type: EntityType, confidence: number, mentions: number): string | undefined {
    const own = normaliseEntityName(name);
    if (own === '' || !/[\p{L}\p{N}]/u.test(own)) return undefined;
    const key = this.mergedInto.get(own) ?? own;
    const known = this.byKey.get(key);
    if (known) {
      known.mentions += mentions;
      known.confidence = Math.max(known.confidence, confidence);
      if (known.type === 'term' || known.type === 'concept') known.type = type === 'term' ? known.type : type;
      return key;
    }
    if (this.byKey.size >= MAX_ENTITIES) return undefined;
    this.byKey.set(key, { name: name.trim(), type, confidence, mentions, aliases: new Map() });
    return key;
  }

  /** The key of a name that was added. */
  keyOf(name: string): string | undefined {
    const key = this.resolve(normaliseEntityName(name));
    return this.byKey.has(key) ? key : undefined;
  }

  alias(key: string, name: string): void {
    const aliasKey = normaliseEntityName(name);
    if (aliasKey === '' || aliasKey === key) return;
    const other = this.byKey.get(aliasKey);
    if (other) this.merge(aliasKey, key, name);
    else {
      this.byKey.get(key)?.aliases.set(aliasKey, name.trim());
      this.mergedInto.set(aliasKey, key);
    }
  }

  /** Makes `from` another name of `into`. */
  merge(from: string, into: string, name: string): void {
    const gone = this.byKey.get(from);
    const kept = this.byKey.get(into);
    if (!gone || !kept || from === into) return;
    this.byKey.delete(from);
    kept.mentions += gone.mentions;
    kept.aliases.set(from, name.trim());
    for (const [key, alias] of gone.aliases) kept.aliases.set(key, alias);
    for (const [key, target] of this.mergedInto) if (target === from) this.mergedInto.set(key, into);
    this.mergedInto.set(from, into);
  }

  resolve(key: string): string {
    return this.mergedInto.get(key) ?? key;
  }

  nameOf(key: string): string | undefined {
    return this.byKey.get(key)?.name;
  }

  result(): ExtractedEntity[] {
    return [...this.byKey.values()].map(({ name, type, confidence, mentions, aliases }) => ({
      name,
      type,
      aliases: [...aliases.values()],
      confidence,
      mentions,
    }));
  }
}

/** Relations by triple; the surest statement of each. */
class RelationGatherer {
  private readonly byTriple = new Map<
    string,
    { source: string; target: string; type: string; statement: string; confidence: number }
  >();

  add(source: string, target: string, type: string, statement: string, confidence: number): void {
    const triple = `${source}\n${target}\n${type}`;
    const known = this.byTriple.get(triple);
    if (known && known.confidence >= confidence) return;
    if (!known && this.byTriple.size >= MAX_RELATIONS) return;
    this.byTriple.set(triple, { source, target, type, statement, confidence });
  }

  result(entities: EntityGatherer): ExtractedRelation[] {
    const relations: ExtractedRelation[] = [];
    for (const relation of this.byTriple.values()) {
      const source = entities.nameOf(entities.resolve(relation.source));
      const target = entities.nameOf(entities.resolve(relation.target));
      if (source === undefined || target === undefined || source === target) continue;
      relations.push({ ...relation, source, target });
    }
    return relations;
  }
}
