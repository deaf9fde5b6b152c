import { detectLanguage, type TextLanguage } from '../extract/entity-name.js';
import type { GraphReader } from '../index/graph-reader.port.js';
import type { GraphPath } from '../model.js';

/** Relations as they stand between their two ends in a Chinese sentence; others are only called related. */
const CHINESE_RELATIONS: Readonly<Record<string, string>> = {
  prerequisite_of: '先修于',
  requires: '需要',
  depends_on: '依赖',
  is_a: '是一种',
  kind_of: '是一种',
  variant_of: '是一种',
  type_of: '是一种',
  form_of: '是一种',
  part_of: '属于',
  belongs_to: '属于',
  includes: '包括',
  contains: '包含',
  uses: '使用',
  used_in: '用于',
  used_for: '用于',
  contrasts_with: '不同于',
  extends: '扩展了',
  generalises: '推广了',
  based_on: '基于',
  leads_to: '导致',
  causes: '导致',
  reduces: '减轻',
  prevents: '防止',
  located_in: '位于',
  based_in: '总部位于',
  born_in: '出生于',
  died_in: '逝世于',
  founded_by: '的创立者是',
  founded_in: '创立于',
  built_by: '的建造者是',
  built_in: '建造于',
  written_by: '的作者是',
  invented_by: '的发明者是',
  proposed_by: '的提出者是',
  proposed: '提出',
  wrote: '创作',
  directed: '执导',
  directed_by: '导演是',
  graduated_from: '毕业于',
  operates: '运营',
};
const CHINESE_UNSTATED = '相关';

/** How a node is called in a text of the given language. */
export type NodeNaming = (nodeId: string, name: string) => string;

/** Names the nodes of paths by their Chinese alias in Chinese texts, by their own name otherwise. */
export async function pathNaming(
  reader: GraphReader,
  paths: readonly GraphPath[],
  language: TextLanguage,
): Promise<NodeNaming> {
  const chinese = new Map<string, string>();
  if (language === 'zh') {
    const ids = [...new Set(paths.flatMap((path) => path.nodes.map(({ id }) => id)))];
    const nodes = (await reader.nodesOf(ids)).filter((node) => node !== undefined);
    await reader.loadNodes(nodes);
    for (const { id, name, aliases } of nodes.map((node) => reader.node(node))) {
      const alias = aliases.find((written) => detectLanguage(written) === 'zh');
      if (alias !== undefined && !/\p{Script=Han}/u.test(name)) chinese.set(id, alias);
    }
  }
  return (nodeId, name) => chinese.get(nodeId) ?? name;
}

/** `A —[prerequisite_of]→ B ←[part_of]— C`, with relations in Chinese where there is a word for them. */
export function verbalisePath(
  path: GraphPath,
  language: TextLanguage,
  naming: NodeNaming = (_, name) => name,
): string {
  const first = path.nodes[0];
  if (!first) return '';
  return path.steps.reduce(
    (text, step) => {
      const relation = language === 'zh' ? chineseRelation(step.type) : step.type;
      const name = naming(step.toId, step.to);
      return step.reversed ? `${text} ←[${relation}]— ${name}` : `${text} —[${relation}]→ ${name}`;
    },
    naming(first.id, first.name),
  );
}

function chineseRelation(type: string): string {
  return CHINESE_RELATIONS[type] ?? (/\p{Script=Han}/u.test(type) ? type : CHINESE_UNSTATED);
}
