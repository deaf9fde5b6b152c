import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renderSummary } from '../summaries/notes.js';
import { clipToTokens } from '../text.js';
import { fitBudget, MESSAGE_OVERHEAD } from './budget.js';
import { halfWindow, needsSummary, planMemory } from './strategy.js';

const options = fc
  .record({
    window: fc.integer({ min: 2, max: 60 }),
    low: fc.nat(100),
    middle: fc.nat(100),
    high: fc.nat(300),
  })
  .map(({ window, low, middle, high }) => ({
    window,
    fullBelow: low + 1,
    summaryFrom: low + middle + 1,
    recallAbove: low + middle + high + 1,
  }));
const backlog = fc.integer({ min: 1, max: 50 });
const lengths = fc.nat(600);

describe('the strategy', () => {
  it('depends on length and summary alone, by the bounds it was given', () => {
    fc.assert(
      fc.property(lengths, fc.nat(600), options, backlog, (length, mark, given, pending) => {
        const summarisedTo = Math.min(mark, length);
        const { strategy } = planMemory(length, summarisedTo, given, pending);
        const expected =
          length < given.fullBelow
            ? 'full'
            : length > given.recallAbove
              ? 'recall'
              : summarisedTo > 0
                ? 'summary-window'
                : 'window';
        expect(strategy).toBe(expected);
      }),
    );
  });

  it('shows all of a short conversation, at most a window without a summary, at least half of one with it', () => {
    fc.assert(
      fc.property(lengths, fc.nat(600), options, backlog, (length, mark, given, pending) => {
        const summarisedTo = Math.min(mark, length);
        const plan = planMemory(length, summarisedTo, given, pending);
        const shown = length - plan.from + 1;
        expect(plan.from).toBeGreaterThanOrEqual(1);
        if (plan.strategy === 'full') expect(shown).toBe(length);
        else if (!plan.usesSummary) expect(shown).toBe(Math.min(length, given.window));
        else {
          const half = Math.min(length, halfWindow(given));
          expect(shown - plan.bridged).toBe(half);
          expect(plan.bridged).toBeLessThanOrEqual(pending);
          expect(plan.bridged === 0 || plan.from > summarisedTo).toBe(true);
        }
      }),
    );
  });

  it('forgets no message while the worker keeps up: each is shown or summarised', () => {
    fc.assert(
      fc.property(lengths, fc.nat(600), options, backlog, (length, mark, given, pending) => {
        const summarisedTo = Math.min(mark, length);
        fc.pre(summarisedTo > 0 && length >= given.fullBelow);
        fc.pre(!needsSummary({ messageCount: length, summarisedTo }, given, pending));
        expect(planMemory(length, summarisedTo, given, pending).from).toBeLessThanOrEqual(summarisedTo + 1);
      }),
    );
  });

  it('asks for a summary of every conversation of 24 messages and more, by default', () => {
    for (let messageCount = 24; messageCount < 300; messageCount += 1)
      expect(needsSummary({ messageCount, summarisedTo: 0 }, { fullBelow: 20, window: 10 }, 10)).toBe(true);
  });
});

const countTokens = (text: string) => Math.ceil(text.length / 3);
const sized = fc.string({ maxLength: 400 }).map((text) => ({ text, tokens: countTokens(text) }));

describe('the budget', () => {
  it('is never exceeded, and recent messages stay a gapless tail in order', () => {
    fc.assert(
      fc.property(
        fc.array(sized, { maxLength: 30 }),
        fc.option(sized, { nil: undefined }),
        fc.array(sized, { maxLength: 8 }),
        fc.integer({ min: -5, max: 2_000 }),
        fc.double({ min: 0.1, max: 1, noNaN: true }),
        (recent, summary, recalled, budget, summaryShare) => {
          const fitted = fitBudget({
            recent,
            ...(summary && {
              summary: { ...summary, shorten: (max: number) => clipToTokens(summary.text, max, countTokens) },
            }),
            recalled,
            budget,
            summaryShare,
            countTokens,
          });
          const parts = [...fitted.recent, ...(fitted.summary ? [fitted.summary] : []), ...fitted.recalled];
          const spent = parts.reduce((sum, { text }) => sum + countTokens(text) + MESSAGE_OVERHEAD, 0);
          expect(fitted.tokens).toBe(spent);
          expect(spent).toBeLessThanOrEqual(Math.max(0, budget));
          const tail = recent.slice(recent.length - fitted.recent.length);
          fitted.recent.forEach((item, index) => {
            const whole = tail[index]!;
            if (fitted.recent.length > 1 || item.text === whole.text) expect(item).toEqual(whole);
            else expect(whole.text.startsWith(item.text.slice(0, -1))).toBe(true);
          });
          if (!fitted.truncated) expect(parts.length).toBeGreaterThanOrEqual(recent.length + recalled.length);
        },
      ),
    );
  });

  it('holds for a summary with its notes, half of it for the latest of them', () => {
    const notes = fc
      .array(fc.string({ minLength: 1, maxLength: 80 }), { maxLength: 20 })
      .map((texts) => texts.map((text, index) => ({ kind: 'name' as const, text, seq: index + 1 })));
    fc.assert(
      fc.property(
        fc.string({ maxLength: 600 }),
        notes,
        fc.integer({ min: 1, max: 300 }),
        (prose, given, max) => {
          const text = renderSummary(prose, given, max, countTokens);
          expect(countTokens(text)).toBeLessThanOrEqual(max);
          const latest = given.at(-1);
          if (latest && countTokens(`User: ${latest.text}`) + 1 <= max / 2)
            expect(text).toContain(latest.text);
        },
      ),
    );
  });

  it('cuts text at a whole character and within its tokens', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), fc.nat(120), (text, max) => {
        const cut = clipToTokens(text, max, countTokens);
        expect(countTokens(cut)).toBeLessThanOrEqual(max);
        expect(Buffer.from(cut).toString()).toBe(cut);
        if (countTokens(text) <= max && max > 0) expect(cut).toBe(text);
      }),
    );
  });
});
