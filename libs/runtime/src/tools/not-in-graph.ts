import type { ToolOutput } from '@sparkle/conversation';
import type { NodeNotFoundError } from '@sparkle/graphrag';

/** Says that the graph does not know a name, and which ones come near. */
export function notInGraph({ asked, nearest }: NodeNotFoundError, language: 'en' | 'zh'): ToolOutput {
  const name = asked.slice(0, 100);
  const near = nearest.slice(0, 5);
  if (language === 'zh') {
    const hint = near.length > 0 ? `相近的名称：${near.join('、')}。` : '';
    return { passages: [], note: `图谱中没有“${name}”。${hint}` };
  }
  const hint = near.length > 0 ? ` Names that come near: ${near.join(', ')}.` : '';
  return { passages: [], note: `The graph has no "${name}".${hint}` };
}
