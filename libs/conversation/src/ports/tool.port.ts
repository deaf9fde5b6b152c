import type { TenantId } from '@sparkle/contracts';
import type { z } from 'zod';

/** Who a tool runs for. Taken from the verified caller, never from what a model wrote. */
export interface ToolContext {
  readonly tenantId: TenantId;
  readonly userId: string;
  /** Language of the question, for what the tool says in words. */
  readonly language: 'en' | 'zh';
  /** Aborts when the tool's time is up, or the turn is over. */
  readonly signal: AbortSignal;
}

/** One thing a tool found; an answer cites it like a passage of retrieval. */
export interface ToolPassage {
  /** Untrusted text; clipped to the tool's bound. */
  readonly text: string;
  readonly title?: string;
  /** Default `chunk`. */
  readonly kind?: 'path' | 'chunk';
  /** What a citation of it shows beside its text; plain JSON of a few hundred characters. */
  readonly source?: Readonly<Record<string, unknown>>;
}

export interface ToolOutput {
  /** Most important first: what exceeds the bound is left out from the end. */
  readonly passages: readonly ToolPassage[];
  /** What the model is told beside the passages, for instance why there are none; not cited. */
  readonly note?: string;
  /** Chains of relations, shown with the answer; plain JSON. */
  readonly paths?: readonly object[];
}

/** Something a model may call while it answers. */
export interface Tool<Arguments = unknown> {
  /** Lower-case letters, digits and underscores, 64 at most; unique among the tools. */
  readonly name: string;
  /** For the model: what it does and when to call it. */
  readonly description: string;
  /** Checks the arguments a model wrote; shown to the model as JSON Schema. */
  readonly schema: z.ZodType<Arguments>;
  /** Tokens its result may take. Default `turn.tools.resultTokens`. */
  readonly maxTokens?: number;
  /** Milliseconds it may take. Default `turn.tools.timeoutMs`. */
  readonly timeoutMs?: number;
  /** What it throws is not shown to the model, only that it failed. */
  run(args: Arguments, context: ToolContext): Promise<ToolOutput>;
  /**
   * Arguments for a question that is plainly this tool's, else `undefined`. For models that cannot call tools:
   * the tool then answers by itself.
   * @param about what the turn before was about, when the question refers to it.
   */
  suits?(question: string, about: readonly string[]): Arguments | undefined;
}

/** Injection token of the tools: an array of {@link Tool}. Optional: without it, no tool is offered. */
export const Tools = Symbol('Tools');
export type Tools = readonly Tool[];
