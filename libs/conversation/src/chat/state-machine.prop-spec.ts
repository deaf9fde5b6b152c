import { TestClock } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import { expect, describe as group, it } from 'vitest';
import { TransitionInvalidError } from '../errors.js';
import { describe, isFinal, TURN_STATES, TURN_TRANSITIONS, TurnMachine, toMermaid } from './state-machine.js';

group('the turn machine', () => {
  it('takes exactly the transitions it describes, and its trace is an unbroken walk from the start', async () => {
    const command = fc.record({ to: fc.constantFrom(...TURN_STATES), waitMs: fc.nat(5_000) });
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 30 }), async (commands) => {
        const clock = new TestClock();
        const machine = new TurnMachine(clock);
        let spent = 0;
        let sinceStep = 0;
        for (const { to, waitMs } of commands) {
          await clock.advance(waitMs);
          sinceStep += waitMs;
          const { state, trace } = machine;
          if (TURN_TRANSITIONS[state].includes(to)) {
            expect(machine.advance(to)).toEqual({ from: state, to, ms: sinceStep });
            spent += sinceStep;
            sinceStep = 0;
          } else {
            expect(() => machine.advance(to)).toThrow(TransitionInvalidError);
            expect(machine.state).toBe(state);
            expect(machine.trace).toEqual(trace);
          }
        }
        const { trace } = machine;
        expect(trace.reduce((sum, { ms }) => sum + ms, 0)).toBe(spent);
        trace.forEach(({ from }, index) => {
          expect(from).toBe(index === 0 ? 'received' : trace[index - 1]!.to);
        });
        expect(machine.final).toBe(isFinal(machine.state));
      }),
      { numRuns: 200 },
    );
  });

  it('reaches every state from the start, and a final state from every state', () => {
    const reached = (from: string) => {
      const seen = new Set([from]);
      for (const state of seen)
        for (const next of TURN_TRANSITIONS[state as keyof typeof TURN_TRANSITIONS]) seen.add(next);
      return seen;
    };
    expect([...reached('received')].sort()).toEqual([...TURN_STATES].sort());
    for (const state of TURN_STATES)
      expect([...reached(state)].some((next) => isFinal(next as (typeof TURN_STATES)[number]))).toBe(true);
  });

  it('never visits a state twice, so that every turn ends', () => {
    const order = new Map(TURN_STATES.map((state, index) => [state, index]));
    for (const from of TURN_STATES)
      for (const to of TURN_TRANSITIONS[from]) expect(order.get(to)!).toBeGreaterThan(order.get(from)!);
  });

  it('is drawn with every transition and every final state', () => {
    const drawing = toMermaid();
    const { transitions, states } = describe();
    expect(drawing).toMatch(/^stateDiagram-v2\n {2}\[\*\] --> received\n/);
    for (const { from, to } of transitions) expect(drawing).toContain(`  ${from} --> ${to}`);
    for (const { name, final } of states) expect(drawing.includes(`${name} --> [*]`)).toBe(final);
  });
});
