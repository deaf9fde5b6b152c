import { splitSentences } from '../ingest/sentences.js';
import type { EntityType, ExtractedEntity, ExtractedRelation, Extraction } from '../model.js';
import { foldText, normaliseEntityName } from './entity-name.js';
import type { StatedPassage } from './model-answer.js';
import { NameDictionary, nameUnits } from './name-dictionary.js';
import { PROMPT_ENTITY_TYPES } from './prompts/extract-graph.v1.js';

export interface GroundedPassage {
  readonly documentTitle: string;
  readonly headings: readonly string[];
  readonly text: string;
  /** Names the tenant has already. */
  readonly known: NameDictionary | undefined;
}

const MAX_ENTITIES = 100;
const MAX_RELATIONS = 200;
const MAX_ALIASES = 8;
const MAX_TYPE = 60;
/** A title's weight among its passage's mentions, as the rules give it. */
const TITLE_MENTIONS = 4;
const QUOTED_CONFIDENCE = 0.85;
/** For a relation whose quote does not stand in the passage, though a sentence names both of its ends. */
const UNQUOTED_CONFIDENCE = 0.6;
/** Below what learning paths follow by default: between concepts that the tenant does not know yet. */
const UNSURE_PREREQUISITE = 0.7;

/**
 * Keeps of what a model states only what the passage bears out. A name must occur in the passage, its headings or
 * its document's title; a relation must join two such names, and be quoted from the passage or at least have a
 * sentence that names both. Statements are the passage's sentences, never the model's words. The title is an
 * entity of each passage.
 */
export function groundStatements(stated: readonly StatedPassage[], passage: GroundedPassage): Extraction {
  const names = new GroundedNames(passage);
  for (const { entities } of stated)
    for (const { name, type, aliases } of entities) names.add(name, entityType(type), aliases);
  const relations = new Map<string, ExtractedRelation>();
  const sentences = sentencesOf(passage.text);
  for (const { source, target, type, quote } of stated.flatMap((part) => part.relations)) {
    const from = names.find(source);
    const to = names.find(target);
    if (!from || !to || from === to) continue;
    const statement = findStatement(sentences, quote, from, to);
    if (!statement) continue;
    const relation = relationType(type);
    const confidence = believed(relation, statement.confidence, [from, to], passage.known);
    const key = `${from.key}\n${to.key}\n${relation}`;
    const before = relations.get(key);
    if (before ? before.confidence >= confidence : relations.size >= MAX_RELATIONS) continue;
    relations.set(key, {
      source: from.name,
      target: to.name,
      type: relation,
      statement: statement.text,
      confidence,
    });
  }
  return { entities: names.result(), relations: [...relations.values()] };
}

interface GroundedName {
  readonly key: string;
  readonly name: string;
  type: EntityType;
  mentions: number;
  readonly aliases: Map<string, string>;
}

/** Entities whose names occur, by normal form. */
class GroundedNames {
  private readonly byKey = new Map<string, GroundedName>();
  private readonly byAlias = new Map<string, GroundedName>();
  private readonly body: ReturnType<typeof nameUnits>;
  private readonly frame: ReturnType<typeof nameUnits>;

  constructor({ documentTitle, headings, text }: GroundedPassage) {
    this.body = nameUnits(text);
    this.frame = nameUnits([documentTitle, ...headings].join('\n'));
    const key = normaliseEntityName(documentTitle);
    if (key !== '' && /[\p{L}\p{N}]/u.test(key))
      this.byKey.set(key, {
        key,
        name: documentTitle.trim(),
        type: 'concept',
        mentions: TITLE_MENTIONS,
        aliases: new Map(),
      });
  }

  add(name: string, type: EntityType, aliases: readonly string[]): void {
    const key = normaliseEntityName(name);
    const known = this.find(name);
    const occurrences = this.occurrences(key);
    if (!known && (occurrences === 0 || this.byKey.size >= MAX_ENTITIES)) return;
    const entity = known ?? { key, name: name.trim(), type, mentions: occurrences, aliases: new Map() };
    if (!known) this.byKey.set(key, entity);
    else if (known.type === 'term' || known.type === 'concept')
      known.type = type === 'term' ? known.type : type;
    for (const alias of aliases) this.alias(entity, alias);
  }

  private alias(entity: GroundedName, alias: string): void {
    const key = normaliseEntityName(alias);
    if (key === '' || key === entity.key || entity.aliases.size >= MAX_ALIASES) return;
    if (this.byKey.has(key) || this.byAlias.has(key) || this.occurrences(key) === 0) return;
    entity.aliases.set(key, alias.trim());
    this.byAlias.set(key, entity);
  }

  find(name: string): GroundedName | undefined {
    const key = normaliseEntityName(name);
    return this.byKey.get(key) ?? this.byAlias.get(key);
  }

  /** How often a name stands in the passage; at least 1 when it stands in what is above it. */
  private occurrences(key: string): number {
    if (key === '' || !/[\p{L}\p{N}]/u.test(key)) return 0;
    const dictionary = new NameDictionary();
    dictionary.addKey(key, 0);
    return dictionary.findAll(this.body).length || Math.min(1, dictionary.findAll(this.frame).length);
  }

  result(): ExtractedEntity[] {
    return [...this.byKey.values()].map(({ name, type, mentions, aliases }) => ({
      name,
      type,
      aliases: [...aliases.values()],
      confidence: 0.9,
      mentions,
    }));
  }
}

interface Sentence {
  /** On one line. */
  readonly text: string;
  /** Without case, width and white space, for comparing. */
  readonly plain: string;
  readonly start: number;
}

/** The sentences, and where each begins in the plain form of the passage. */
function sentencesOf(text: string): Sentence[] {
  let start = 0;
  return splitSentences(text).map((span) => {
    const sentence = text.slice(span.start, span.end);
    const plain = plainForm(sentence);
    const found = { text: sentence.replace(/\s+/g, ' '), plain, start };
    start += plain.length;
    return found;
  });
}

function plainForm(text: string): string {
  return foldText(text).replace(/[^\p{L}\p{N}]+/gu, '');
}

function findStatement(
  sentences: readonly Sentence[],
  quote: string,
  from: GroundedName,
  to: GroundedName,
): { text: string; confidence: number } | undefined {
  const plain = plainForm(quote);
  const at =
    plain === ''
      ? -1
      : sentences
          .map((sentence) => sentence.plain)
          .join('')
          .indexOf(plain);
  if (at >= 0) {
    const quoted = sentences.filter(
      (sentence) => sentence.start < at + plain.length && sentence.start + sentence.plain.length > at,
    );
    if (quoted.length <= 3)
      return { text: quoted.map((sentence) => sentence.text).join(' '), confidence: QUOTED_CONFIDENCE };
  }
  const naming = sentences.find((sentence) => [from, to].every((entity) => names(sentence, entity)));
  return naming && { text: naming.text, confidence: UNQUOTED_CONFIDENCE };
}

function names(sentence: Sentence, { key, aliases }: GroundedName): boolean {
  return [key, ...aliases.keys()].some((name) => sentence.plain.includes(plainForm(name)));
}

/** A learner is sent along a prerequisite: it must be quoted, and join what the tenant knows as concepts. */
function believed(
  type: string,
  confidence: number,
  ends: readonly GroundedName[],
  known: NameDictionary | undefined,
): number {
  if (type !== 'prerequisite_of') return confidence;
  const both = known !== undefined && ends.every(({ key }) => known.get(key).length > 0);
  return both ? confidence : Math.min(confidence, UNSURE_PREREQUISITE);
}

function entityType(type: string): EntityType {
  return PROMPT_ENTITY_TYPES.find((known) => known === type.trim().toLowerCase()) ?? 'term';
}

function relationType(type: string): string {
  const words = foldText(type).match(/[\p{L}\p{N}]+/gu) ?? [];
  const joined = words.join('_').slice(0, MAX_TYPE).replace(/_$/, '');
  return joined === '' ? 'related_to' : joined;
}
