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

/** Messages stored by `append` hold anything, or nothing: what is missing or odd reads as empty. */
const schema = z.object({
  replyTo: number,
  memory: memory.catch(() => memory.parse({})),
  retrieval: retrieval.catch(() => retrieval.parse({})),
  citations: z.array(z.looseObject({ id: z.string() })).catch([]),
  supported: flag,
  paths: z.array(z.looseObject({})).catch([]),
  usage: usage.catch(() => usage.parse({})),
  model: text,
  finishReason: text,
  trace: z.array(z.object({ from: z.enum(TURN_STATES), to: z.enum(TURN_STATES), ms: number })).catch([]),
});

/** Reads what was stored beside an answer. */
export function readAnswerMetadata(metadata: Readonly<Record<string, unknown>>): AnswerMetadata {
  return schema.parse(metadata);
}
