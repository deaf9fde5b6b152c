import type { Tool, ToolContext, ToolOutput, ToolPassage } from '@sparkle/conversation';
import {
  type LearningPath,
  type LearningPathService,
  type LearningStep,
  NodeNotFoundError,
} from '@sparkle/graphrag';
import { z } from 'zod';
import { notInGraph } from './not-in-graph.js';

const concept = z.string().trim().min(1).max(200);
const schema = z.strictObject({
  target: concept.describe('Name of the concept the learner wants to reach'),
  mastered: z.array(concept).max(50).optional().describe('What the learner says to know already'),
});

const MAX_STEPS = 12;
const MAX_RESOURCES = 2;

/** "it" and its like; what it refers to is what the turn before was about. */
const PRONOUN = /^(?:it|this|that|them|these|those|它|它们|这个|那个|这|那)$/iu;

const ASKS = [
  /\bwhat (?:should|must|do|shall) (?:i|we) (?:have to |need to )?(?:learn|study|know|understand|read|master)(?: first)? (?:before|in order to (?:learn|understand)|to (?:learn|understand|master|study|get to|reach))\s+(?:(?:i|we) (?:can |start )?|(?:learning|studying|starting)\s+)?(?<target>[^?.!,;]+)/iu,
  /\b(?:learning|study) path (?:to|for|towards)\s+(?<target>[^?.!,;]+)/iu,
  /\bhow (?:do|can|should) i (?:get to|reach|prepare for)\s+(?<target>[^?.!,;]+)/iu,
  /(?:在?学(?:习)?)(?<target>[^?？。，,！!]+?)(?:之前|以前|前)[，,]?我?(?:应该|应当|需要|需|要|得|必须)?先?(?:学习|学|掌握|了解|会)(?:会|好)?些?(?:什么|哪些)/u,
  /(?:^|[，,])(?:请问|请?给我|我想?要)?(?<target>[^?？。，,！!]+?)的学习(?:路径|路线|计划|顺序)/u,
  /(?:怎么|怎样|如何)(?:才能)?(?:学会|学到|入门)(?<target>[^?？。，,！!]+)/u,
] as const;

/** What to learn, in which order and why, from what the learner has mastered to a concept. */
export class LearningPathTool implements Tool<z.output<typeof schema>> {
  readonly name = 'learning_path';
  readonly description =
    'Plans what this learner still has to learn before a concept: prerequisites in order, hours, and why each is needed.';
  readonly schema = schema;
  readonly maxTokens = 900;

  constructor(private readonly paths: Pick<LearningPathService, 'plan'>) {}

  suits(question: string, about: readonly string[]): z.output<typeof schema> | undefined {
    for (const pattern of ASKS) {
      const named = pattern
        .exec(question)
        ?.groups?.target?.trim()
        .replace(/^(?:the|a|an|about)\s+/iu, '')
        .slice(0, 200);
      if (!named) continue;
      const target = PRONOUN.test(named) ? about[0] : named;
      if (target !== undefined) return { target };
    }
    return undefined;
  }

  async run(
    { target, mastered }: z.output<typeof schema>,
    { tenantId, userId, language }: ToolContext,
  ): Promise<ToolOutput> {
    try {
      const path = await this.paths.plan({ tenantId, userId, target, ...(mastered && { mastered }) });
      return { passages: language === 'zh' ? chinese(path) : english(path) };
    } catch (error) {
      if (error instanceof NodeNotFoundError) return notInGraph(error, language);
      throw error;
    }
  }
}

function english({ target, steps, alreadyMastered, totals }: LearningPath): ToolPassage[] {
  const source = { targetId: target.id };
  if (steps.length === 0) return [{ text: `You have mastered ${target.name} already.`, source }];
  const before = steps.slice(0, -1).map(({ name }) => name);
  const known =
    alreadyMastered.length > 0
      ? ` You have mastered ${alreadyMastered.map(({ name }) => name).join(', ')} already.`
      : '';
  const time = totals.hours > 0 ? ` Together this takes about ${totals.hours} hours.` : '';
  const overview =
    before.length === 0
      ? `You can begin with ${target.name}: nothing that you have not mastered comes before it.`
      : `Before ${target.name}, learn in this order: ${before.join(', ')}.`;
  return [
    { text: `${overview}${known}${time}`, title: target.name, source },
    ...steps.slice(0, MAX_STEPS).map((step) => ({
      text: [
        `${step.position}. ${step.name}${step.neededFor.length > 0 ? ` is needed for ${reasons(step, '; ')}` : ' is what you want to learn'}.`,
        ...(step.hours === undefined ? [] : [`It takes about ${step.hours} hours.`]),
        ...(step.resources.length > 0 ? [`Resources: ${resources(step)}.`] : []),
      ].join(' '),
      source: { ...source, nodeId: step.nodeId },
    })),
  ];
}

function chinese({ target, steps, alreadyMastered, totals }: LearningPath): ToolPassage[] {
  const source = { targetId: target.id };
  if (steps.length === 0) return [{ text: `你已经掌握了${target.name}。`, source }];
  const before = steps.slice(0, -1).map(({ name }) => name);
  const known =
    alreadyMastered.length > 0 ? `你已经掌握了${alreadyMastered.map(({ name }) => name).join('、')}。` : '';
  const time = totals.hours > 0 ? `总共大约需要${totals.hours}小时。` : '';
  const overview =
    before.length === 0
      ? `可以直接学习${target.name}：没有尚未掌握的先修内容。`
      : `学习${target.name}之前，请依次学习：${before.join('、')}。`;
  return [
    { text: `${overview}${known}${time}`, title: target.name, source },
    ...steps.slice(0, MAX_STEPS).map((step) => ({
      text: [
        `${step.position}. ${step.name}${step.neededFor.length > 0 ? `：${reasons(step, '；')}的先修内容` : '：学习目标'}。`,
        ...(step.hours === undefined ? [] : [`大约需要${step.hours}小时。`]),
        ...(step.resources.length > 0 ? [`资料：${resources(step)}。`] : []),
      ].join(''),
      source: { ...source, nodeId: step.nodeId },
    })),
  ];
}

function reasons({ neededFor }: LearningStep, separator: string): string {
  return neededFor
    .slice(0, MAX_RESOURCES)
    .map(({ forName, reason }) => (reason ? `${forName} (${reason.replace(/[.。]$/u, '')})` : forName))
    .join(separator);
}

function resources({ resources }: LearningStep): string {
  return resources
    .slice(0, MAX_RESOURCES)
    .map(({ title, url }) => (url ? `${title} (${url})` : title))
    .join('; ');
}
