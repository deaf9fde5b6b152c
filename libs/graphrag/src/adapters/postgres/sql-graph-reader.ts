import type { SqlClient, TenantId } from '@sparkle/contracts';
import type { LexicalStatistics } from '../../index/bm25.js';
import type {
  GraphReader,
  LexicalHit,
  LexicalMatches,
  PassageCounts,
  ReaderEdge,
  ReaderFact,
  ReaderNode,
  WalkRows,
} from '../../index/graph-reader.port.js';
import { UNSTATED_RELATION } from '../../index/passage-terms.js';
import { edgeWeight, mentionWeight, normaliseRow } from '../../index/walk.js';
import { isUuid } from '../../ingest/document.service.js';
import type { EntityType, SnapshotChunk } from '../../model.js';
import { readCorpusVersion } from './corpus-version.js';
import { LexicalSearch, type LexicalSource } from './lexical-search.js';
import {
  edgeIsPublished,
  nodeIsPublished,
  ofPublished,
  readUnpublished,
  type UnpublishedRows,
} from './published-graph.js';
import { type SqlStatement, sql } from './sql-statement.js';

type LexicalKind = 'passages' | 'facts' | 'names';

/** What searches need to know of a whole corpus at one version: the same for every question. */
export interface CorpusStatistics {
  readonly version: number;
  readonly of: Readonly<Record<LexicalKind, LexicalStatistics>>;
  readonly frequencies: Readonly<Record<LexicalKind, Map<string, number>>>;
}

interface PublishedEdge {
  readonly id: string;
  readonly sourceId: string;
  readonly targetId: string;
  readonly type: string;
  readonly weight: number;
  readonly confidence: number;
}

const NO_EDGES: readonly number[] = [];

/**
 * Reads a graph from the database, a statement or a few for each step, in one transaction that sees one state of
 * it (`REPEATABLE READ`): {@link open} it there, and use it only until the transaction ends. What was read is kept
 * until then, so a question's memory is what it looked at.
 */
export class SqlGraphReader implements GraphReader {
  readonly kind = 'sql';
  private readonly nodes = new Numbers();
  private readonly chunks = new Numbers();
  private readonly edges = new Numbers();
  private readonly facts = new Numbers();
  private readonly nodeRows: ReaderNode[] = [];
  private readonly chunkRows: SnapshotChunk[] = [];
  private readonly edgeRows: ReaderEdge[] = [];
  private readonly factRows: ReaderFact[] = [];
  private readonly nodeEdges = new Map<number, readonly number[]>();
  private readonly edgeFacts = new Map<number, readonly number[]>();
  private readonly rows = new GrowingRows();
  private readonly search: Readonly<Record<LexicalKind, LexicalSearch>>;
  private readonly passages: number;

  private constructor(
    private readonly client: SqlClient,
    private readonly tenantId: TenantId,
    readonly version: number,
    private readonly unpublished: UnpublishedRows,
    statistics: CorpusStatistics,
  ) {
    this.passages = statistics.of.passages.texts;
    const source = (kind: LexicalKind, parts: Pick<LexicalSource, 'from' | 'key' | 'published'>) =>
      new LexicalSearch(client, tenantId, {
        ...parts,
        statistics: statistics.of[kind],
        frequencies: statistics.frequencies[kind],
      });
    this.search = {
      passages: source('passages', {
        from: sql`chunks c`,
        key: sql`c.id`,
        published: ofPublished(sql`c.document_id`, unpublished),
      }),
      facts: source('facts', {
        from: sql`edge_evidence c`,
        key: sql`c.edge_id, c.chunk_id`,
        published: ofPublished(sql`c.document_id`, unpublished),
      }),
      names: source('names', {
        from: sql`node_names c`,
        key: sql`c.node_id`,
        published: nodeIsPublished(tenantId, sql`c.node_id`, unpublished),
      }),
    };
  }

  /**
   * @param statisticsOf the statistics of an earlier reader of the same version, if there was one.
   * @throws TenantUnknownError when the tenant is not registered.
   */
  static async open(
    client: SqlClient,
    tenantId: TenantId,
    statisticsOf: (version: number) => CorpusStatistics | undefined = () => undefined,
  ): Promise<{ reader: SqlGraphReader; statistics: CorpusStatistics }> {
    const version = await readCorpusVersion(client, tenantId);
    const unpublished = await readUnpublished(client, tenantId);
    const statistics =
      statisticsOf(version) ?? (await readStatistics(client, tenantId, version, unpublished));
    return {
      statistics,
      reader: new SqlGraphReader(client, tenantId, version, unpublished, statistics),
    };
  }

  async searchPassages(terms: readonly string[], limit: number): Promise<LexicalMatches> {
    const [found] = await this.search.passages.best<{ id: string }>([terms], limit);
    const scoreOf = new Map(found!.map(({ id, score }) => [this.chunks.of(id), score]));
    return {
      best: [...scoreOf].map(([ref, score]) => ({ ref, score })),
      scores: (refs) =>
        this.scoresOf(refs, scoreOf, async (missing) => {
          const ids = missing.map((chunk) => this.chunks.idOf(chunk));
          const rows = await this.search.passages.among<{ id: string }>(
            terms,
            sql`c.id = ANY(${ids}::uuid[])`,
          );
          return rows.map(({ id, score }) => [this.chunks.of(id), score]);
        }),
    };
  }

  async countPassages(terms: readonly string[]): Promise<PassageCounts> {
    return { passages: this.passages, having: await this.search.passages.count(terms) };
  }

  async searchFacts(terms: readonly string[], limit: number): Promise<LexicalMatches> {
    type Key = { edge_id: string; chunk_id: string };
    const [found] = await this.search.facts.best<Key & { statement: string }>(
      [terms],
      limit,
      sql`, c.statement`,
    );
    await this.loadEdgesOf(found!.map((row) => row.edge_id));
    const scoreOf = new Map(found!.map((row) => [this.keepFact(row), row.score]));
    return {
      best: [...scoreOf].map(([ref, score]) => ({ ref, score })),
      scores: (refs) =>
        this.scoresOf(refs, scoreOf, async (missing) => {
          const keys = missing.map((fact) => this.factRows[fact]!);
          const edges = keys.map(({ edge }) => this.edges.idOf(edge));
          const chunks = keys.map(({ chunk }) => this.chunks.idOf(chunk));
          const rows = await this.search.facts.among<Key>(
            terms,
            sql`(c.edge_id, c.chunk_id) IN (SELECT * FROM unnest(${edges}::uuid[], ${chunks}::uuid[]))`,
          );
          return rows.map((row) => [this.facts.of(`${row.edge_id}${row.chunk_id}`), row.score]);
        }),
    };
  }

  async searchNames(queries: readonly (readonly string[])[], limit: number): Promise<LexicalHit[][]> {
    const found = await this.search.names.best<{ node_id: string }>(queries, limit);
    return found.map((rows) => rows.map((row) => ({ ref: this.nodes.of(row.node_id), score: row.score })));
  }

  async nodesNamed(keys: readonly string[]): Promise<ReadonlyMap<string, readonly number[]>> {
    if (keys.length === 0) return new Map();
    const rows = await sql`SELECT named.key, named.node_id AS id FROM (
        SELECT n.key, n.id AS node_id FROM knowledge_nodes n
        WHERE n.tenant_id = ${this.tenantId} AND n.key = ANY(${keys}::text[])
        UNION
        SELECT a.alias_key, a.node_id FROM node_aliases a
        WHERE a.tenant_id = ${this.tenantId} AND a.alias_key = ANY(${keys}::text[])
          AND ${ofPublished(sql`a.document_id`, this.unpublished)}) AS named
      WHERE ${nodeIsPublished(this.tenantId, sql`named.node_id`, this.unpublished)}
      ORDER BY named.node_id`.rows<{ key: string; id: string }>(this.client);
    return grouped(rows.map(({ key, id }) => [key, this.nodes.of(id)]));
  }

  async nodesOf(ids: readonly string[]): Promise<(number | undefined)[]> {
    const unknown = ids.filter((id) => !this.nodes.has(id) && isUuid(id));
    if (unknown.length > 0) {
      const rows = await sql`SELECT n.id FROM knowledge_nodes n
        WHERE n.tenant_id = ${this.tenantId} AND n.id = ANY(${unknown}::uuid[])
          AND ${nodeIsPublished(this.tenantId, sql`n.id`, this.unpublished)}`.rows<{ id: string }>(
        this.client,
      );
      for (const { id } of rows) this.nodes.of(id);
    }
    return ids.map((id) => this.nodes.find(id));
  }

  async chunksOf(ids: readonly string[]): Promise<(number | undefined)[]> {
    const unknown = ids.filter((id) => !this.chunks.has(id) && isUuid(id));
    if (unknown.length > 0) {
      const rows = await sql`SELECT id FROM chunks
        WHERE tenant_id = ${this.tenantId} AND id = ANY(${unknown}::uuid[])
          AND ${ofPublished(sql`document_id`, this.unpublished)}`.rows<{ id: string }>(this.client);
      for (const { id } of rows) this.chunks.of(id);
    }
    return ids.map((id) => this.chunks.find(id));
  }

  nodeId(node: number): string {
    return this.nodes.idOf(node);
  }

  chunkId(chunk: number): string {
    return this.chunks.idOf(chunk);
  }

  edgeId(edge: number): string {
    return this.edges.idOf(edge);
  }

  async loadNodes(nodes: Iterable<number>): Promise<void> {
    const ids = unloaded(nodes, this.nodeRows).map((node) => this.nodes.idOf(node));
    if (ids.length === 0) return;
    const edgesAt = (
      column: SqlStatement,
      besides: SqlStatement,
    ) => sql`(SELECT count(*) FROM knowledge_edges e
      WHERE e.tenant_id = ${this.tenantId} AND ${column} = n.id ${besides} AND ${edgeIsPublished(sql`e.id`, this.unpublished)})`;
    const stated = (column: SqlStatement) => sql`EXISTS (SELECT 1 FROM knowledge_edges e
      WHERE e.tenant_id = ${this.tenantId} AND ${column} = n.id AND e.type <> ${UNSTATED_RELATION}
        AND ${edgeIsPublished(sql`e.id`, this.unpublished)})`;
    const rows = await sql`SELECT n.id, n.key, n.name, n.type, a.keys AS "aliasKeys", a.names AS aliases,
        (SELECT count(*)::integer FROM node_mentions m WHERE m.tenant_id = ${this.tenantId} AND m.node_id = n.id
          AND ${ofPublished(sql`m.document_id`, this.unpublished)}) AS passages,
        (${edgesAt(sql`e.source_id`, sql``)}
          + ${edgesAt(sql`e.target_id`, sql`AND e.source_id <> n.id`)})::integer AS degree,
        EXISTS (SELECT 1 FROM documents d WHERE d.tenant_id = ${this.tenantId} AND d.state = 'ready'
            AND d.title_key = ANY(n.key || a.keys))
          AND NOT ${stated(sql`e.source_id`)} AND NOT ${stated(sql`e.target_id`)} AS title
      FROM knowledge_nodes n
      CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(alias_key ORDER BY alias_key), '{}') AS keys,
          coalesce(array_agg(alias ORDER BY alias_key), '{}') AS names
        FROM (SELECT alias_key, min(alias) AS alias FROM node_aliases
          WHERE tenant_id = ${this.tenantId} AND node_id = n.id
            AND ${ofPublished(sql`document_id`, this.unpublished)}
          GROUP BY alias_key) AS each) AS a
      WHERE n.tenant_id = ${this.tenantId} AND n.id = ANY(${ids}::uuid[])`.rows<
      Omit<ReaderNode, 'type'> & { type: EntityType }
    >(this.client);
    for (const row of rows) this.nodeRows[this.nodes.of(row.id)] = row;
  }

  node(node: number): ReaderNode {
    return loaded(this.nodeRows[node]);
  }

  degree(node: number): number | undefined {
    return this.nodeRows[node]?.degree;
  }

  async loadChunks(chunks: Iterable<number>): Promise<void> {
    const ids = unloaded(chunks, this.chunkRows).map((chunk) => this.chunks.idOf(chunk));
    if (ids.length === 0) return;
    const rows = await sql`SELECT c.id, c.document_id AS "documentId", d.title AS "documentTitle", c.ordinal,
        c.headings, c.content AS text, c.token_count AS tokens
      FROM chunks c JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
      WHERE c.tenant_id = ${this.tenantId} AND c.id = ANY(${ids}::uuid[])`.rows<SnapshotChunk>(this.client);
    for (const row of rows) this.chunkRows[this.chunks.of(row.id)] = row;
  }

  chunk(chunk: number): SnapshotChunk {
    return loaded(this.chunkRows[chunk]);
  }

  async loadEdges(nodes: Iterable<number>): Promise<void> {
    const wanted = [...new Set(nodes)].filter((node) => !this.nodeEdges.has(node));
    if (wanted.length === 0) return;
    const ids = wanted.map((node) => this.nodes.idOf(node));
    const edges = await this.readEdges(
      sql`(e.source_id = ANY(${ids}::uuid[]) OR e.target_id = ANY(${ids}::uuid[]))`,
    );
    const edgesOf = this.byNode(edges);
    for (const node of wanted) this.nodeEdges.set(node, edgesOf.get(node) ?? NO_EDGES);
  }

  edgesAt(node: number): readonly number[] | undefined {
    return this.nodeEdges.get(node);
  }

  async edgesAmong(nodes: ReadonlySet<number>): Promise<(node: number) => readonly number[]> {
    const ids = [...nodes].map((node) => this.nodes.idOf(node));
    const edges =
      ids.length === 0
        ? []
        : await this.readEdges(sql`e.source_id = ANY(${ids}::uuid[]) AND e.target_id = ANY(${ids}::uuid[])`);
    const edgesOf = this.byNode(edges);
    return (node) => edgesOf.get(node) ?? NO_EDGES;
  }

  edge(edge: number): ReaderEdge {
    return loaded(this.edgeRows[edge]);
  }

  async loadFacts(edges: Iterable<number>): Promise<void> {
    const wanted = [...new Set(edges)].filter((edge) => !this.edgeFacts.has(edge));
    if (wanted.length === 0) return;
    const ids = wanted.map((edge) => this.edges.idOf(edge));
    const rows = await sql`SELECT edge_id, chunk_id, statement FROM edge_evidence
      WHERE tenant_id = ${this.tenantId} AND edge_id = ANY(${ids}::uuid[])
        AND ${ofPublished(sql`document_id`, this.unpublished)}
      ORDER BY edge_id, chunk_id`.rows<{ edge_id: string; chunk_id: string; statement: string }>(this.client);
    const factsOf = grouped(rows.map((row) => [this.edges.of(row.edge_id), this.keepFact(row)]));
    for (const edge of wanted) this.edgeFacts.set(edge, factsOf.get(edge) ?? []);
  }

  factsOf(edge: number): readonly number[] {
    return loaded(this.edgeFacts.get(edge));
  }

  fact(fact: number): ReaderFact {
    return loaded(this.factRows[fact]);
  }

  nodeVertex(node: number): number {
    return 2 * node;
  }

  chunkVertex(chunk: number): number {
    return 2 * chunk + 1;
  }

  vertexNode(vertex: number): number | undefined {
    return vertex % 2 === 0 ? vertex / 2 : undefined;
  }

  vertexChunk(vertex: number): number | undefined {
    return vertex % 2 === 0 ? undefined : (vertex - 1) / 2;
  }

  get vertexBound(): number {
    return 2 * Math.max(this.nodes.size, this.chunks.size);
  }

  loadWalkSizes(vertices: readonly number[]): Promise<void> | undefined {
    const missing = vertices.filter((vertex) => !this.rows.sizes.has(vertex));
    return missing.length > 0 ? this.readWalkSizes(missing) : undefined;
  }

  loadWalk(vertices: readonly number[]): Promise<void> | undefined {
    const missing = vertices.filter((vertex) => !this.rows.has(vertex));
    return missing.length > 0 ? this.readWalk(missing) : undefined;
  }

  get walk(): WalkRows {
    return this.rows;
  }

  private async readWalkSizes(vertices: readonly number[]): Promise<void> {
    const nodes = vertices.flatMap((vertex) => this.vertexNode(vertex) ?? []);
    const chunks = vertices.flatMap((vertex) => this.vertexChunk(vertex) ?? []);
    const nodeIds = nodes.map((node) => this.nodes.idOf(node));
    const chunkIds = chunks.map((chunk) => this.chunks.idOf(chunk));
    const edgesFrom = (here: SqlStatement, there: SqlStatement) => sql`(SELECT count(*) FROM knowledge_edges e
      WHERE e.tenant_id = ${this.tenantId} AND ${here} = n.id AND ${there} <> n.id
        AND ${edgeIsPublished(sql`e.id`, this.unpublished)})`;
    const rows = await sql`SELECT true AS node, n.id, (
        (SELECT count(*) FROM node_mentions m WHERE m.tenant_id = ${this.tenantId} AND m.node_id = n.id
          AND ${ofPublished(sql`m.document_id`, this.unpublished)})
        + ${edgesFrom(sql`e.source_id`, sql`e.target_id`)}
        + ${edgesFrom(sql`e.target_id`, sql`e.source_id`)})::integer AS size
      FROM unnest(${nodeIds}::uuid[]) AS n(id)
      UNION ALL
      SELECT false, c.id, (SELECT count(*)::integer FROM node_mentions m
        WHERE m.tenant_id = ${this.tenantId} AND m.chunk_id = c.id
          AND ${ofPublished(sql`m.document_id`, this.unpublished)})
      FROM unnest(${chunkIds}::uuid[]) AS c(id)`.rows<{ node: boolean; id: string; size: number }>(
      this.client,
    );
    for (const { node, id, size } of rows)
      this.rows.sizes.set(
        node ? this.nodeVertex(this.nodes.of(id)) : this.chunkVertex(this.chunks.of(id)),
        size,
      );
  }

  /** As `buildWalk`: a node's passages, then its edges; a passage's nodes; each kind in the order of ids. */
  private async readWalk(vertices: readonly number[]): Promise<void> {
    const nodes = vertices.flatMap((vertex) => this.vertexNode(vertex) ?? []);
    const chunks = vertices.flatMap((vertex) => this.vertexChunk(vertex) ?? []);
    await this.loadEdges(nodes);
    const mentions = await this.readMentions(nodes, chunks);
    for (const node of nodes) {
      for (const { other, count } of mentions.ofNodes.get(node) ?? [])
        this.rows.push(this.chunkVertex(other), mentionWeight(count));
      for (const edge of this.nodeEdges.get(node)!) {
        const { source, target, weight, confidence } = this.edge(edge);
        const other = source === node ? target : source;
        if (other !== node) this.rows.push(this.nodeVertex(other), edgeWeight(weight, confidence));
      }
      this.rows.finish(this.nodeVertex(node));
    }
    for (const chunk of chunks) {
      for (const { other, count } of mentions.ofChunks.get(chunk) ?? [])
        this.rows.push(this.nodeVertex(other), mentionWeight(count));
      this.rows.finish(this.chunkVertex(chunk));
    }
  }

  private async readMentions(nodes: readonly number[], chunks: readonly number[]) {
    const nodeIds = nodes.map((node) => this.nodes.idOf(node));
    const chunkIds = chunks.map((chunk) => this.chunks.idOf(chunk));
    const rows = await sql`SELECT true AS node, node_id AS of, chunk_id AS other, count FROM node_mentions
        WHERE tenant_id = ${this.tenantId} AND node_id = ANY(${nodeIds}::uuid[])
          AND ${ofPublished(sql`document_id`, this.unpublished)}
      UNION ALL
      SELECT false, chunk_id, node_id, count FROM node_mentions
        WHERE tenant_id = ${this.tenantId} AND chunk_id = ANY(${chunkIds}::uuid[])
          AND ${ofPublished(sql`document_id`, this.unpublished)}
      ORDER BY of, other`.rows<{ node: boolean; of: string; other: string; count: number }>(this.client);
    type Mention = { other: number; count: number };
    const ofNodes = grouped(
      rows
        .filter(({ node }) => node)
        .map((row): [number, Mention] => [
          this.nodes.of(row.of),
          { other: this.chunks.of(row.other), count: row.count },
        ]),
    );
    const ofChunks = grouped(
      rows
        .filter(({ node }) => !node)
        .map((row): [number, Mention] => [
          this.chunks.of(row.of),
          { other: this.nodes.of(row.other), count: row.count },
        ]),
    );
    return { ofNodes, ofChunks };
  }

  /** Loads edges by id. */
  private async loadEdgesOf(ids: readonly string[]): Promise<void> {
    const missing = ids.filter((id) => !this.edges.has(id));
    if (missing.length > 0) await this.readEdges(sql`e.id = ANY(${missing}::uuid[])`);
  }

  /** Published edges that `condition` picks, in the order of ids; they are loaded. */
  private async readEdges(condition: SqlStatement): Promise<number[]> {
    const rows =
      await sql`SELECT e.id, e.source_id AS "sourceId", e.target_id AS "targetId", e.type, e.weight,
        e.confidence
      FROM knowledge_edges e
      WHERE e.tenant_id = ${this.tenantId} AND ${condition} AND ${edgeIsPublished(sql`e.id`, this.unpublished)}
      ORDER BY e.id`.rows<PublishedEdge>(this.client);
    return rows.map((row) => {
      const edge = this.edges.of(row.id);
      const { weight, confidence } = this.unpublished.weights.get(row.id) ?? row;
      this.edgeRows[edge] ??= {
        source: this.nodes.of(row.sourceId),
        target: this.nodes.of(row.targetId),
        type: row.type,
        // `real` is printed with as many digits as tell it from others, not with all it has.
        weight: Math.fround(weight),
        confidence: Math.fround(confidence),
      };
      return edge;
    });
  }

  private byNode(edges: readonly number[]): Map<number, number[]> {
    return grouped(
      edges.flatMap((edge) => {
        const { source, target } = this.edge(edge);
        return [...new Set([source, target])].map((node): [number, number] => [node, edge]);
      }),
    );
  }

  private keepFact(row: { edge_id: string; chunk_id: string; statement: string }): number {
    const fact = this.facts.of(`${row.edge_id}${row.chunk_id}`);
    this.factRows[fact] ??= {
      edge: this.edges.of(row.edge_id),
      chunk: this.chunks.of(row.chunk_id),
      statement: row.statement,
    };
    return fact;
  }

  /** Scores in the order of `refs`; those not known are read, 0 for what has none. */
  private async scoresOf(
    refs: readonly number[],
    known: Map<number, number>,
    read: (missing: readonly number[]) => Promise<(readonly [number, number])[]>,
  ): Promise<number[]> {
    const missing = refs.filter((ref) => !known.has(ref));
    if (missing.length > 0) {
      for (const ref of missing) known.set(ref, 0);
      for (const [ref, score] of await read(missing)) known.set(ref, score);
    }
    return refs.map((ref) => known.get(ref)!);
  }
}

async function readStatistics(
  client: SqlClient,
  tenantId: TenantId,
  version: number,
  unpublished: UnpublishedRows,
): Promise<CorpusStatistics> {
  const of = (kind: LexicalKind, from: SqlStatement, published: SqlStatement) =>
    sql`SELECT ${kind}::text AS kind, count(*)::integer AS texts, coalesce(sum(c.term_count), 0)::float8 AS terms
      FROM ${from} WHERE c.tenant_id = ${tenantId} AND ${published}`;
  const rows = await sql`${of('passages', sql`chunks c`, ofPublished(sql`c.document_id`, unpublished))}
    UNION ALL ${of('facts', sql`edge_evidence c`, ofPublished(sql`c.document_id`, unpublished))}
    UNION ALL ${of('names', sql`node_names c`, nodeIsPublished(tenantId, sql`c.node_id`, unpublished))}`.rows<
    LexicalStatistics & { kind: LexicalKind }
  >(client);
  const statisticsOf = (kind: LexicalKind) => rows.find((row) => row.kind === kind)!;
  return {
    version,
    of: {
      passages: statisticsOf('passages'),
      facts: statisticsOf('facts'),
      names: statisticsOf('names'),
    },
    frequencies: { passages: new Map(), facts: new Map(), names: new Map() },
  };
}

/** Numbers for ids, in the order in which they are first seen. */
class Numbers {
  private readonly ids: string[] = [];
  private readonly numbers = new Map<string, number>();

  of(id: string): number {
    const known = this.numbers.get(id);
    if (known !== undefined) return known;
    this.numbers.set(id, this.ids.length);
    return this.ids.push(id) - 1;
  }

  find(id: string): number | undefined {
    return this.numbers.get(id);
  }

  has(id: string): boolean {
    return this.numbers.has(id);
  }

  idOf(number: number): string {
    return loaded(this.ids[number]);
  }

  get size(): number {
    return this.ids.length;
  }
}

/** Rows of the walk, appended one after the other. */
class GrowingRows implements WalkRows {
  columns = new Int32Array(1024);
  probabilities = new Float32Array(1024);
  private used = 0;
  private rowStart = 0;
  private readonly places = new Map<number, readonly [start: number, end: number]>();
  /** Sizes of rows, read before them. */
  readonly sizes = new Map<number, number>();

  push(vertex: number, weight: number): void {
    if (this.used === this.columns.length) {
      const columns = new Int32Array(2 * this.used);
      columns.set(this.columns);
      this.columns = columns;
      const probabilities = new Float32Array(2 * this.used);
      probabilities.set(this.probabilities);
      this.probabilities = probabilities;
    }
    this.columns[this.used] = vertex;
    this.probabilities[this.used] = weight;
    this.used += 1;
  }

  /** What was pushed since the last row ended is the row of `vertex`. */
  finish(vertex: number): void {
    normaliseRow(this.probabilities, this.rowStart, this.used);
    this.places.set(vertex, [this.rowStart, this.used]);
    this.rowStart = this.used;
  }

  has(vertex: number): boolean {
    return this.places.has(vertex);
  }

  start(vertex: number): number {
    return loaded(this.places.get(vertex))[0];
  }

  end(vertex: number): number {
    return loaded(this.places.get(vertex))[1];
  }

  size(vertex: number): number {
    return loaded(this.sizes.get(vertex));
  }
}

function grouped<Key, Value>(pairs: readonly (readonly [Key, Value])[]): Map<Key, Value[]> {
  const groups = new Map<Key, Value[]>();
  for (const [key, value] of pairs) {
    const group = groups.get(key);
    if (group) group.push(value);
    else groups.set(key, [value]);
  }
  return groups;
}

function unloaded(refs: Iterable<number>, rows: readonly unknown[]): number[] {
  return [...new Set(refs)].filter((ref) => rows[ref] === undefined);
}

function loaded<Value>(value: Value | undefined): Value {
  if (value === undefined)
    throw new RangeError('the graph reader was asked for something that was not loaded');
  return value;
}
