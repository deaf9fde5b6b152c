import type { Tool, ToolContext, ToolOutput, ToolPassage } from '@sparkle/conversation';
import {
  detectLanguage,
  type GraphPath,
  type GraphService,
  type Neighbourhood,
  type NeighbourNode,
  NodeNotFoundError,
  verbalisePath,
} from '@sparkle/graphrag';
import { z } from 'zod';
import { notInGraph } from './not-in-graph.js';

const schema = z.strictObject({
  concept: z.string().trim().min(1).max(200).describe('Name of a concept, person, place or thing'),
  other: z
    .string()
    .trim()
    .min(1)
    .max(200)
    .optional()
    .describe('A second one; gives the chains of relations between the two'),
});

const NEIGHBOURS = 30;
const NAMES_PER_RELATION = 8;
const CHAINS = 3;
const STATEMENTS = 3;

/** What the knowledge graph says of a concept, or how two of them hang together. */
export class GraphSearchTool implements Tool<z.output<typeof schema>> {
  readonly name = 'graph_search';
  readonly description =
    'Looks into the knowledge graph: what a concept is related to, or with "other" how two concepts are connected.';
  readonly schema = schema;

  constructor(private readonly graph: Pick<GraphService, 'searchEntities' | 'neighbourhood' | 'paths'>) {}

  async run({ concept, other }: z.output<typeof schema>, context: ToolContext): Promise<ToolOutput> {
    try {
      return other === undefined
        ? await this.around(concept, context)
        : await this.between(concept, other, context);
    } catch (error) {
      if (error instanceof NodeNotFoundError) return notInGraph(error, context.language);
      throw error;
    }
  }

  private async around(concept: string, { tenantId, language }: ToolContext): Promise<ToolOutput> {
    const around = await this.graph.neighbourhood(tenantId, concept, { limit: NEIGHBOURS });
    const [centre] = around.nodes;
    const hits = await this.graph.searchEntities(tenantId, centre!.name, 5);
    const description = hits.find(({ id }) => id === centre!.id)?.description;
    const title = nameOf(centre!, language);
    return {
      passages: [
        ...(description ? [{ title, text: description, source: { nodeId: centre!.id } }] : []),
        ...relationsOf(around, language).map((text) => ({ title, text, source: { nodeId: centre!.id } })),
      ],
    };
  }

  private async between(from: string, to: string, { tenantId, language }: ToolContext): Promise<ToolOutput> {
    const paths = await this.graph.paths(tenantId, from, to, { k: CHAINS });
    if (paths.length === 0)
      return {
        passages: [],
        note: language === 'zh' ? '图谱中没有连接这两者的关系。' : 'No chain of relations connects the two.',
      };
    return { passages: paths.map((path) => chain(path, language)), paths };
  }
}

/** The chain, and below it the sentences that state its relations. */
function chain(path: GraphPath, language: ToolContext['language']): ToolPassage {
  const statements = [...new Set(path.steps.flatMap(({ statement }) => statement ?? []))];
  return {
    kind: 'path',
    text: [verbalisePath(path, language), ...statements.slice(0, STATEMENTS)].join('\n'),
    source: {
      nodes: path.nodes.map(({ name }) => name),
      chunkIds: [...new Set(path.steps.flatMap(({ chunkId }) => chunkId ?? []))],
      score: path.score,
    },
  };
}

/** One line for each kind of relation and its direction, the most frequent first. */
function relationsOf({ nodes, edges }: Neighbourhood, language: ToolContext['language']): string[] {
  const [centre] = nodes;
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const groups = new Map<string, { type: string; out: boolean; names: string[] }>();
  for (const { sourceId, targetId, type } of edges) {
    const out = sourceId === centre!.id;
    if (!out && targetId !== centre!.id) continue;
    const other = byId.get(out ? targetId : sourceId);
    if (!other) continue;
    const group = groups.get(`${type} ${out}`) ?? { type, out, names: [] };
    groups.set(`${type} ${out}`, group);
    group.names.push(nameOf(other, language));
  }
  const here = nameOf(centre!, language);
  const comma = language === 'zh' ? '、' : ', ';
  return [...groups.values()]
    .sort((left, right) => right.names.length - left.names.length)
    .map(({ type, out, names }) => {
      const listed = names.slice(0, NAMES_PER_RELATION).join(comma);
      return out ? `${here} —[${type}]→ ${listed}` : `${listed} —[${type}]→ ${here}`;
    });
}

function nameOf({ name, aliases }: NeighbourNode, language: ToolContext['language']): string {
  if (language === 'en' || detectLanguage(name) === 'zh') return name;
  return aliases.find((alias) => detectLanguage(alias) === 'zh') ?? name;
}
