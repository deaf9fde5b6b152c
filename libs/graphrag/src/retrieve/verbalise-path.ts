import { detectLanguage, type TextLanguage } from '../extract/entity-name.js';
import type { GraphSnapshot } from '../index/graph-snapshot.js';
import type { GraphPath } from '../model.js';

const CHINESE_RELATIONS: Readonly<Record<string, string>> = {
  prerequisite_of: '先修于',
  is_a: '是一种',
  part_of: '属于',
  related_to: '相关',
  used_in: '用于',
  located_in: '位于',
  born_in: '出生于',
  depends_on: '依赖',
  includes: '包括',
  belongs_to: '属于',
  proposed: '提出',
  directed: '执导',
  directed_by: '导演是',
  wrote: '创作',
  graduated_from: '毕业于',
};

/** How a node is called in a text of the given language. */
export type NodeNaming = (nodeId: string, name: string) => string;

/** Names nodes by their Chinese alias in Chinese texts, by their own name otherwise. */
export function nodeNaming(snapshot: GraphSnapshot, language: TextLanguage): NodeNaming {
  return (nodeId, name) => {
    if (language !== 'zh' || /\p{Script=Han}/u.test(name)) return name;
    const index = snapshot.nodeIndex.get(nodeId);
    const aliases = index === undefined ? [] : snapshot.nodes[index]!.aliases;
    return aliases.find((alias) => detectLanguage(alias) === 'zh') ?? name;
  };
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
      const relation = language === 'zh' ? (CHINESE_RELATIONS[step.type] ?? step.type) : step.type;
      const name = naming(step.toId, step.to);
      return step.reversed ? `${text} ←[${relation}]— ${name}` : `${text} —[${relation}]→ ${name}`;
    },
    naming(first.id, first.name),
  );
}
