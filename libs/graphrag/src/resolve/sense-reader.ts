import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { TenantDatabase, type TenantId } from '@sparkle/contracts';
import { EmbeddingModel } from '@sparkle/llm';
import { readExistingNames } from '../adapters/postgres/graph-writer.js';
import {
  readKinds,
  readNodeContexts,
  readPassageExcerpts,
  type StoredNodeContext,
  writeNodeEmbeddings,
} from '../adapters/postgres/sense.store.js';
import { detectLanguage, normaliseEntityName, type TextLanguage } from '../extract/entity-name.js';
import { type ContestedName, contestedNames, keysWithHypernyms } from './contested-names.js';
import type { ContextVector, NameContext } from './name-context.js';
import {
  type DocumentExtraction,
  mentionKey,
  NO_EVIDENCE,
  namesToLookUp,
  type SenseEvidence,
} from './resolve-entities.js';

/** Statements of a document that speak for a name. */
const STATEMENTS = 4;
const BATCH = 64;

/** Texts about nothing in particular: how similar a text is to these is what similarity means nothing below. */
const BACKGROUND: Record<TextLanguage, readonly string[]> = {
  en: [
    'The council approved the budget of the city.',
    'The singer released an album.',
    'The team won the final match.',
    'Water boils at one hundred degrees.',
    'She was born in a small village and became a painter.',
    'The program stores its data on a server.',
  ],
  zh: [
    '市议会批准了城市预算。',
    '歌手发行了一张专辑。',
    '球队赢得了决赛。',
    '水在一百度沸腾。',
    '她出生在一个小村庄，后来成为画家。',
    '程序把数据存在服务器上。',
  ],
};

/**
 * Looks up what surrounds names that may mean several things. Only these cost embeddings; a node's is kept with
 * a digest of what it was made from, and made again when that has changed.
 */
@Injectable()
export class SenseReader {
  private background: Promise<Record<TextLanguage, Float32Array[]>> | undefined;

  constructor(
    @Inject(TenantDatabase) private readonly database: TenantDatabase,
    @Inject(EmbeddingModel) private readonly embeddings: EmbeddingModel,
  ) {}

  /** Evidence for the contested names of documents. Takes no lock: what changes meanwhile goes by names alone. */
  async read(
    tenantId: TenantId,
    documents: readonly DocumentExtraction[],
    signal?: AbortSignal,
  ): Promise<SenseEvidence> {
    const found = await this.database.withTenant(tenantId, async (sql) => {
      const existing = await readExistingNames(sql, tenantId, namesToLookUp(documents));
      const described = keysWithHypernyms(documents);
      const kinds = await readKinds(
        sql,
        tenantId,
        existing.nodes.filter((node) => described.has(node.key)).map((node) => node.id),
      );
      const contested = contestedNames(documents, existing, kinds);
      if (contested.length === 0) return undefined;
      const nodeIds = [...new Set(contested.flatMap((name) => name.nodeIds))];
      return {
        contested,
        nodes: await readNodeContexts(sql, tenantId, nodeIds),
        kinds: await readKinds(sql, tenantId, nodeIds),
        excerpts: await readPassageExcerpts(sql, tenantId, chunksNeeded(documents, contested)),
      };
    });
    if (!found) return NO_EVIDENCE;
    const mentions = await this.mentionVectors(tenantId, documents, found.contested, found.excerpts, signal);
    const vectors = await this.nodeVectors(tenantId, found.nodes, signal);
    const nodes = new Map<string, NameContext>();
    for (const { id, neighbours } of found.nodes)
      nodes.set(id, {
        hypernyms: found.kinds.get(id) ?? new Set(),
        neighbours: new Set(neighbours),
        vectors: vectors.get(id) ?? [],
      });
    return { mentions, nodes };
  }

  private async mentionVectors(
    tenantId: TenantId,
    documents: readonly DocumentExtraction[],
    contested: readonly ContestedName[],
    excerpts: ReadonlyMap<string, string>,
    signal: AbortSignal | undefined,
  ): Promise<Map<string, ContextVector[]>> {
    const byId = new Map(documents.map((document) => [document.documentId, document]));
    const texts = contested.map(({ documentId, key }) => mentionText(byId.get(documentId)!, key, excerpts));
    const vectors = await this.embed(tenantId, texts, signal);
    return new Map(
      contested.map(({ documentId, key }, index) => [
        mentionKey(documentId, key),
        vectors[index] ? [vectors[index]] : [],
      ]),
    );
  }

  private async nodeVectors(
    tenantId: TenantId,
    nodes: readonly StoredNodeContext[],
    signal: AbortSignal | undefined,
  ): Promise<Map<string, ContextVector[]>> {
    const texts = new Map(nodes.map((node) => [node.id, nodeText(node)]));
    const sources = new Map([...texts].map(([id, text]) => [id, this.digest(text)]));
    const stale = nodes.filter(
      (node) => texts.get(node.id) !== '' && node.embeddingSource !== sources.get(node.id),
    );
    const made = await this.embed(
      tenantId,
      stale.map((node) => texts.get(node.id)!),
      signal,
    );
    if (stale.length > 0)
      await this.database.withTenant(tenantId, (sql) =>
        writeNodeEmbeddings(
          sql,
          tenantId,
          stale.map((node, index) => ({
            nodeId: node.id,
            vector: made[index]!.values,
            source: sources.get(node.id)!,
          })),
        ),
      );
    const vectors = new Map<string, ContextVector[]>();
    const background = await this.backgroundVectors(tenantId);
    for (const node of nodes) {
      const text = texts.get(node.id)!;
      const at = stale.indexOf(node);
      const vector = at < 0 ? node.embedding && compared(node.embedding, text, background) : made[at];
      if (vector && text !== '') vectors.set(node.id, [vector]);
    }
    return vectors;
  }

  /** One vector per text; none for an empty one. */
  private async embed(
    tenantId: TenantId,
    texts: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<(ContextVector | undefined)[]> {
    const result: (ContextVector | undefined)[] = texts.map(() => undefined);
    const wanted = texts.flatMap((text, index) => (text === '' ? [] : [index]));
    if (wanted.length === 0) return result;
    const background = await this.backgroundVectors(tenantId);
    for (let from = 0; from < wanted.length; from += BATCH) {
      signal?.throwIfAborted();
      const batch = wanted.slice(from, from + BATCH);
      const vectors = await this.embeddings.embed({
        tenantId,
        texts: batch.map((index) => texts[index]!),
        ...(signal && { signal }),
      });
      batch.forEach((index, at) => {
        result[index] = compared(vectors[at]!, texts[index]!, background);
      });
    }
    return result;
  }

  private backgroundVectors(tenantId: TenantId): Promise<Record<TextLanguage, Float32Array[]>> {
    this.background ??= this.embeddings
      .embed({ tenantId, texts: [...BACKGROUND.en, ...BACKGROUND.zh] })
      .then((vectors) => ({
        en: vectors.slice(0, BACKGROUND.en.length),
        zh: vectors.slice(BACKGROUND.en.length),
      }))
      .catch((error: unknown) => {
        this.background = undefined;
        throw error;
      });
    return this.background;
  }

  private digest(text: string): string {
    return createHash('sha256').update(`${this.embeddings.id}\n${text}`).digest('base64url');
  }
}

function compared(
  values: Float32Array,
  text: string,
  background: Record<TextLanguage, readonly Float32Array[]>,
): ContextVector {
  const others = background[detectLanguage(text)];
  let sum = 0;
  for (const other of others) for (let i = 0; i < values.length; i += 1) sum += values[i]! * other[i]!;
  return { values, background: sum / others.length };
}

/** What a node is about, without its name: equal names must not make two contexts alike. */
function nodeText(node: StoredNodeContext): string {
  return without(
    [...(node.description ? [node.description] : []), ...node.statements].join(' '),
    normaliseEntityName(node.name.replace(/\s*[(（][^()（）]+[)）]\s*$/u, '')),
  );
}

function mentionText(
  document: DocumentExtraction,
  key: string,
  excerpts: ReadonlyMap<string, string>,
): string {
  const statements = new Map<string, number>();
  for (const chunk of document.chunks)
    for (const { source, target, statement, confidence } of chunk.relations)
      if (normaliseEntityName(source) === key || normaliseEntityName(target) === key)
        statements.set(statement, Math.max(confidence, statements.get(statement) ?? 0));
  const surest = [...statements]
    .sort(([a, left], [b, right]) => right - left || (a < b ? -1 : 1))
    .slice(0, STATEMENTS)
    .map(([statement]) => statement);
  if (surest.length > 0) return without(surest.join(' '), key);
  const chunk = firstMention(document, key);
  return without((chunk && excerpts.get(chunk)) ?? '', key);
}

function firstMention(document: DocumentExtraction, key: string): string | undefined {
  return document.chunks.find((chunk) => chunk.entities.some(({ name }) => normaliseEntityName(name) === key))
    ?.chunkId;
}

function chunksNeeded(
  documents: readonly DocumentExtraction[],
  contested: readonly ContestedName[],
): string[] {
  const byId = new Map(documents.map((document) => [document.documentId, document]));
  const chunks = contested.map(({ documentId, key }) => firstMention(byId.get(documentId)!, key));
  return [...new Set(chunks.filter((chunk) => chunk !== undefined))];
}

function without(text: string, key: string): string {
  if (key === '') return text.trim();
  const pattern = key
    .split(' ')
    .map((word) => word.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
    .join('[\\s\\p{P}]+');
  return text.replace(new RegExp(pattern, 'giu'), ' ').replace(/\s+/g, ' ').trim();
}
