import { z } from 'zod';
import { ConversationOptionsInvalidError } from './errors.js';

const count = (fallback: number, minimum = 1) => z.int().min(minimum).default(fallback);

const memory = z
  .strictObject({
    /** Conversations with fewer messages are shown to the model whole. */
    fullBelow: count(20),
    /** From this many messages on, an answer without a summary counts as degraded. */
    summaryFrom: count(50),
    /** Above this many messages, old ones are recalled by meaning and by words. */
    recallAbove: count(200),
    /** Recent messages shown; half of it once a summary exists. */
    window: count(10, 2),
    /** Old messages recalled at most; their answers, and what stands beside them, come along where there is room. */
    recallLimit: count(8),
    /** Cosine similarity below which an old message is not recalled by meaning. */
    recallMinSimilarity: z.number().min(-1).max(1).default(0.2),
    /** Milliseconds the question's embedding may take; after that, old messages are recalled by words alone. */
    recallEmbedMs: count(1_500),
    /** Share of the memory's tokens a summary may take. */
    summaryShare: z.number().gt(0).max(1).default(0.4),
  })
  .refine((value) => value.fullBelow <= value.summaryFrom && value.summaryFrom <= value.recallAbove, {
    path: ['fullBelow'],
    message: 'needs fullBelow ≤ summaryFrom ≤ recallAbove',
  });

const summaries = z.strictObject({
  /** Messages summarised by one model call. */
  batch: count(20, 2),
  /** Batches merged into one stored summary before the next is begun. */
  batchesPerStep: count(8),
  /** Unsummarised messages outside of the half window that call for a summary. */
  backlog: count(10),
  /** Upper bound of a summary's prose, in tokens. */
  maxTokens: count(400, 50),
  /** Facts kept beside the prose; the oldest of the most numerous kind goes first. */
  maxNotes: count(40),
  /** Messages a conversation without summary must exceed to be warmed up; 30 at least (the index starts there). */
  warmupAbove: count(30, 30),
});

const tools = z.strictObject({
  /** Rounds of tool calls, after which the model has to answer; 0 offers no tools. */
  rounds: count(4, 0),
  /** Calls a model may make in one round; those beyond are refused. */
  callsPerRound: count(4),
  /** Calls of one round that run at once. */
  concurrency: count(2),
  /** Milliseconds one call may take, unless its tool says otherwise. */
  timeoutMs: count(10_000),
  /** Tokens of one result, unless its tool says otherwise. */
  resultTokens: count(600, 50),
  /** Tokens of all results of a turn. */
  allResultsTokens: count(2_000, 50),
  /** Tokens all model calls of a turn may use; tools are offered only while a further call fits. */
  turnTokens: count(20_000, 500),
});

const turn = z.strictObject({
  /** Milliseconds a turn may stay in each state. */
  budgetsMs: z
    .strictObject({
      received: count(5_000),
      admitted: count(5_000),
      recalled: count(10_000),
      retrieved: count(1_000),
      /** All tools of one round together. */
      tool: count(15_000),
      /** One call, its fallbacks and retries included. */
      model: count(60_000),
      answered: count(5_000),
    })
    .prefault({}),
  /** Milliseconds a turn may take until its answer is complete, whatever its states are allowed. */
  totalMs: count(120_000),
  /**
   * Milliseconds for which a message stays claimed without a sign of life from the process that answers it.
   * Renewed every third of it; after a crash a retry is refused for at most this long.
   */
  leaseMs: count(15_000, 1_000),
  /** Tokens of memory and retrieved passages together. */
  contextTokens: count(3_000, 200),
  /** Tokens of {@link contextTokens} that memory may take; what it leaves goes to retrieval. */
  memoryTokens: count(1_200, 100),
  maxOutputTokens: count(512),
  temperature: z.number().min(0).max(2).default(0),
  tools: tools.prefault({}),
});

const schema = z
  .strictObject({
    memory: memory.prefault({}),
    summaries: summaries.prefault({}),
    turn: turn.prefault({}),
    /** Longest message, in UTF-16 code units. */
    maxMessageChars: count(32_000),
    /** Most messages one page may hold. */
    maxPage: count(200),
  })
  .refine((value) => value.turn.memoryTokens <= value.turn.contextTokens, {
    path: ['turn', 'memoryTokens'],
    message: 'must not exceed turn.contextTokens',
  });

/** What `ConversationModule.forRoot` accepts; everything has a default. */
export type ConversationModuleOptions = z.input<typeof schema>;

/** Options with every default filled in. */
export type ConversationOptions = z.output<typeof schema>;

/** Injection token of the parsed {@link ConversationOptions}. */
export const CONVERSATION_OPTIONS = Symbol('ConversationOptions');

/**
 * Fills in the defaults.
 * @throws ConversationOptionsInvalidError listing every wrong path.
 */
export function parseConversationOptions(input: ConversationModuleOptions = {}): ConversationOptions {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw new ConversationOptionsInvalidError(
    parsed.error.issues.map((issue) => {
      const path = issue.path.join('.') || '(root)';
      return issue.code === 'unrecognized_keys'
        ? `${path}: unknown ${issue.keys.join(', ')}`
        : `${path}: ${issue.message}`;
    }),
  );
}
