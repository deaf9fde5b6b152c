import { z } from 'zod';
import type { AnswerMetadata } from '../model.js';
import { TURN_STATES } from './state-machine.js';

const number = z.number().catch(0);
const text = z.string().catch('');
const flag = z.boolean().catch(false);

const memory = z.object({
  strategy: z.enum(['full', 'window', 'summary-window', 'recall']).catch('full'),
  length: number,
  shown: number,
  bridged: number,
  recalled: z.array(z.number()).catch([]),
  summarisedTo: number,
  tokens: number,
  pendingSummary: flag,
  degraded: flag,
});

const retrieval = z.object({
  strategy: text,
  durationMs: number,
  passages: number,
  query: text,
  appended: z.array(z.string()).catch([]),
  linked: z.array(z.object({ id: z.string(), name: z.string() })).catch([]),
});

const usage = z.object({ inputTokens: number, outputTokens: number, costUsd: number });

const toolCall = z.object({
  id: text,
  name: text,
  round: number,
  by: z.enum(['model', 'rule']).catch('model'),
  arguments: text,
  outcome: z
    .enum(['success', 'empty', 'unknown_tool', 'arguments_invalid', 'timeout', 'failed', 'refused'])
    .catch('failed'),
  ms: number,
  tokens: number,
});

const modelCall = z.object({
  model: text,
  ms: number,
  finishReason: text,
  inputTokens: number,
  outputTokens: number,
  costUsd: number,
});

const transition = z.object({
  from: z.enum(TURN_STATES),
  to: z.enum(TURN_STATES),
  cause: text,
  ms: number,
});

/** Messages stored by `append` hold anything, or nothing: what is missing or odd reads as empty. */
const schema = z.object({
  replyTo: number,
  memory: memory.catch(() => memory.parse({})),
  retrieval: retrieval.catch(() => retrieval.parse({})),
  citations: z.array(z.looseObject({ id: z.string() })).catch([]),
  supported: flag,
  paths: z.array(z.looseObject({})).catch([]),
  tools: z.array(toolCall).catch([]),
  usage: usage.catch(() => usage.parse({})),
  modelCalls: z.array(modelCall).catch([]),
  model: text,
  finishReason: text,
  fallback: flag,
  shortened: flag,
  trace: z.array(transition).catch([]),
});

/** Reads what was stored beside an answer. */
export function readAnswerMetadata(metadata: Readonly<Record<string, unknown>>): AnswerMetadata {
  return schema.parse(metadata);
}
