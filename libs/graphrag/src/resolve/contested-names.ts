import { isAcronymOf, normaliseEntityName } from '../extract/entity-name.js';
import type { EntityType } from '../model.js';
import {
  hypernymsMeet,
  hypernymsOf,
  isProperName,
  typesConflict,
  withoutParentheses,
} from './name-context.js';
import type { DocumentExtraction, ExistingNames } from './resolve-entities.js';

/** A name that may mean several things, in one document; with the nodes it may mean or may be merged with. */
export interface ContestedName {
  readonly documentId: string;
  readonly key: string;
  readonly nodeIds: readonly string[];
}

interface Claim {
  readonly documentId: string;
  readonly key: string;
  readonly type: EntityType;
  readonly acronyms: readonly string[];
}

/**
 * The names that need a look at what surrounds them. Few do: those that several nodes have, those that one
 * document says to be a planet and another a metal, those of a node that is called `Mercury (planet)`, those a
 * split was made of, and acronyms that are a node of their own beside the long form. `kinds` are the hypernym
 * heads of existing nodes.
 */
export function contestedNames(
  documents: readonly DocumentExtraction[],
  existing: ExistingNames,
  kinds: ReadonlyMap<string, ReadonlySet<string>>,
): ContestedName[] {
  const byKey = new Map(existing.nodes.map((node) => [node.key, node]));
  const byId = new Map(existing.nodes.map((node) => [node.id, node]));
  const owners = new Map<string, Set<string>>();
  for (const { aliasKey, nodeId } of existing.aliases)
    owners.set(aliasKey, (owners.get(aliasKey) ?? new Set()).add(nodeId));
  const splits = new Map<string, string[]>();
  for (const split of existing.splits ?? [])
    splits.set(split.nodeId, [...(splits.get(split.nodeId) ?? []), split.target.id]);

  const claims = claimsOf(documents);
  const byName = new Map<string, Claim[]>();
  for (const claim of claims) byName.set(claim.key, [...(byName.get(claim.key) ?? []), claim]);
  const qualified = new Set<string>();
  for (const name of namesIn(documents)) {
    const bare = withoutParentheses(name);
    if (bare !== undefined) qualified.add(normaliseEntityName(bare));
  }
  const documentById = new Map(documents.map((document) => [document.documentId, document]));
  const hypernyms = new Map<Claim, ReadonlySet<string>>();
  const headsOf = (claim: Claim) => {
    const known = hypernyms.get(claim);
    if (known) return known;
    const heads = new Set(hypernymsOf(documentById.get(claim.documentId)!, claim.key).keys());
    hypernyms.set(claim, heads);
    return heads;
  };

  const contested: ContestedName[] = [];
  for (const [key, same] of byName) {
    const node = byKey.get(key);
    const aliasOwners = [...(owners.get(key) ?? [])].filter((id) => id !== node?.id);
    const split = node ? (splits.get(node.id) ?? []) : [];
    const candidates = [...(node ? [node.id] : []), ...aliasOwners, ...split];
    const explicitly = aliasOwners.some((id) => {
      const bare = withoutParentheses(byId.get(id)?.name ?? '');
      return bare !== undefined && normaliseEntityName(bare) === key;
    });
    const several = candidates.length > 1 || explicitly || qualified.has(key);
    const differs = (claim: Claim) => {
      const heads = headsOf(claim);
      const conflict = (type: EntityType, others: ReadonlySet<string>) =>
        typesConflict(claim.type, type) ||
        (heads.size > 0 && others.size > 0 && !hypernymsMeet(heads, others));
      return (
        (node !== undefined && conflict(node.type, kinds.get(node.id) ?? new Set())) ||
        same.some((other) => other !== claim && conflict(other.type, headsOf(other)))
      );
    };
    const all = several || (same.length > 1 && same.some(differs));
    for (const claim of same) {
      const shorter = claim.acronyms.flatMap((acronym) => {
        const short = byKey.get(acronym);
        return short && short !== node ? [short.id] : [];
      });
      if (all || (node && shorter.length > 0) || differs(claim))
        contested.push({ documentId: claim.documentId, key, nodeIds: [...candidates, ...shorter] });
    }
  }
  return contested;
}

/** One claim per document and name. */
function claimsOf(documents: readonly DocumentExtraction[]): Claim[] {
  const claims: Claim[] = [];
  for (const document of documents) {
    const ofDocument = new Map<string, { type: EntityType; acronyms: Set<string> }>();
    for (const chunk of document.chunks)
      for (const entity of chunk.entities) {
        const key = normaliseEntityName(entity.name);
        if (key === '' || entity.type === 'date' || entity.type === 'number' || !isProperName(entity.name))
          continue;
        const claim = ofDocument.get(key) ?? { type: entity.type, acronyms: new Set<string>() };
        if (claim.type === 'term' || claim.type === 'concept') claim.type = entity.type;
        for (const alias of entity.aliases)
          if (isAcronymOf(alias, entity.name)) claim.acronyms.add(normaliseEntityName(alias));
        ofDocument.set(key, claim);
      }
    for (const [key, { type, acronyms }] of ofDocument)
      claims.push({ documentId: document.documentId, key, type, acronyms: [...acronyms] });
  }
  return claims;
}

function* namesIn(documents: readonly DocumentExtraction[]): Generator<string> {
  for (const document of documents)
    for (const chunk of document.chunks) for (const entity of chunk.entities) yield entity.name;
}

/** Keys of which a document of the batch says what they are: only their nodes' kinds can contradict. */
export function keysWithHypernyms(documents: readonly DocumentExtraction[]): Set<string> {
  const keys = new Set<string>();
  for (const document of documents)
    for (const chunk of document.chunks)
      for (const relation of chunk.relations)
        if (relation.type === 'is_a') keys.add(normaliseEntityName(relation.source));
  return keys;
}
