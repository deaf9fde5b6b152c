import { TestClock } from '@sparkle/contracts/testing';
import { describe, expect, it } from 'vitest';
import { StoreTimeoutError } from '../errors.js';
import { CallBudget } from './call-budget.js';

const never = () => new Promise<never>(() => {});

describe('a call budget', () => {
  it('ends each call when its own time is up, with one timer for all', async () => {
    const clock = new TestClock();
    const budget = new CallBudget(clock, 50);
    const ended: string[] = [];
    const watch = (name: string) =>
      budget.bound(never()).catch((error: unknown) => {
        expect(error).toBeInstanceOf(StoreTimeoutError);
        ended.push(name);
      });
    void watch('first');
    await clock.advance(20);
    void watch('second');
    void watch('third');
    expect(clock.pendingTimers).toBe(1);
    await clock.advance(29);
    expect(ended).toEqual([]);
    await clock.advance(1);
    expect(ended).toEqual(['first']);
    await clock.advance(20);
    expect(ended).toEqual(['first', 'second', 'third']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('passes on answers and failures, and ignores what comes too late', async () => {
    const clock = new TestClock();
    const budget = new CallBudget(clock, 50);
    expect(await budget.bound(Promise.resolve('answer'))).toBe('answer');
    await expect(budget.bound(Promise.reject(new Error('failure')))).rejects.toThrow('failure');
    let fail = (_error: Error) => {};
    const late = budget.bound(
      new Promise<never>((_resolve, reject) => {
        fail = reject;
      }),
    );
    const outcome = late.catch((error: unknown) => error);
    await clock.advance(50);
    expect(await outcome).toBeInstanceOf(StoreTimeoutError);
    fail(new Error('too late'));
  });

  it('uses an answer that arrived while the process was paused beyond the budget', async () => {
    const clock = new TestClock();
    const due: (() => void)[] = [];
    clock.schedule = (_delayMs, callback) => {
      due.push(callback);
      return { cancel: () => {} };
    };
    const budget = new CallBudget(clock, 50);
    let answer = (_value: string) => {};
    const call = budget.bound(
      new Promise<string>((resolve) => {
        answer = resolve;
      }),
    );
    await clock.advance(1000);
    // After a pause, the event loop runs timers that are due, and then reads sockets.
    for (const run of due) run();
    answer('in time');
    expect(await call).toBe('in time');
  });
});
