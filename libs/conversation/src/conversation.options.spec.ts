import { describe, expect, it } from 'vitest';
import { type ConversationModuleOptions, parseConversationOptions } from './conversation.options.js';
import { ConversationOptionsInvalidError } from './errors.js';

function refuse(options: unknown): ConversationOptionsInvalidError {
  try {
    parseConversationOptions(options as ConversationModuleOptions);
  } catch (error) {
    if (error instanceof ConversationOptionsInvalidError) return error;
    throw error;
  }
  throw new Error('The options were accepted.');
}

describe('options', () => {
  it('have the documented defaults', () => {
    expect(parseConversationOptions()).toMatchObject({
      memory: { fullBelow: 20, summaryFrom: 50, recallAbove: 200, window: 10 },
      summaries: { batch: 20, backlog: 10, warmupAbove: 30 },
      maxMessageChars: 32_000,
      turn: {
        budgetsMs: { retrieved: 1_000, tool: 15_000, model: 60_000 },
        totalMs: 120_000,
        tools: { rounds: 4, callsPerRound: 4, concurrency: 2, turnTokens: 20_000 },
      },
    });
    expect(parseConversationOptions({ memory: { window: 6 } }).memory).toMatchObject({
      window: 6,
      fullBelow: 20,
    });
  });

  it('that are wrong are listed all at once, without their values', () => {
    const { paths, message } = refuse({
      memory: { window: 1, fullBelow: 'secret' },
      turn: { leaseMs: 5, colour: 'secret' },
      maxPage: -1,
    });
    expect(paths.map((path) => path.split(':')[0]).sort()).toEqual([
      'maxPage',
      'memory.fullBelow',
      'memory.window',
      'turn',
      'turn.leaseMs',
    ]);
    expect(message).not.toContain('secret');
  });

  it('must agree with each other', () => {
    expect(refuse({ memory: { fullBelow: 60 } }).paths[0]).toContain('fullBelow ≤ summaryFrom ≤ recallAbove');
    expect(refuse({ turn: { contextTokens: 500 } }).paths[0]).toContain('turn.memoryTokens');
  });
});
