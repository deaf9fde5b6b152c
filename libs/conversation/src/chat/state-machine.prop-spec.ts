import { TestClock } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import { expect, describe as group, it } from 'vitest';
import { TransitionInvalidError } from '../errors.js';
import {
  type ActiveTurnState,
  describe,
  isFinal,
  TURN_MACHINE,
  TURN_STATES,
  type TurnCause,
  TurnMachine,
  type TurnState,
  toMermaid,
} from './state-machine.js';

const { transitions, states } = describe();
const causes = [...new Set(transitions.map(({ cause }) => cause))] as TurnCause[];
const arrow = (from: TurnState, cause: string) =>
  transitions.find((each) => each.from === from && each.cause === cause);

group('the turn machine', () => {
  it('takes exactly the steps of its table, each no oftener than allowed, and traces an unbroken walk', async () => {
    const command = fc.record({
      // Steps that exist are drawn more often, so that walks get somewhere.
      pick: fc.oneof(fc.constantFrom(...causes), fc.nat(20)),
      waitMs: fc.nat(5_000),
    });
    const limits = fc.record({ tools_called: fc.nat(3), prompt_too_long: fc.nat(2) });
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 40 }), limits, async (commands, bounds) => {
        const clock = new TestClock();
        const machine = new TurnMachine(clock, bounds);
        const left: Record<string, number> = { ...bounds };
        let sinceStep = 0;
        for (const { pick, waitMs } of commands) {
          await clock.advance(waitMs);
          sinceStep += waitMs;
          const { state, trace } = machine;
          const possible = transitions.filter(({ from }) => from === state);
          const cause =
            typeof pick === 'string'
              ? pick
              : ((possible[pick % Math.max(1, possible.length)]?.cause ?? 'failed') as TurnCause);
          const step = arrow(state, cause);
          const allowed = step !== undefined && (left[cause] ?? 1) > 0;
          expect(machine.can(cause)).toBe(allowed);
          if (step && allowed) {
            expect(machine.advance(cause)).toEqual({ from: state, to: step.to, cause, ms: sinceStep });
            if (cause in left) left[cause]! -= 1;
            sinceStep = 0;
          } else {
            expect(() => machine.advance(cause)).toThrow(TransitionInvalidError);
            expect(machine.state).toBe(state);
            expect(machine.trace).toEqual(trace);
          }
        }
        machine.trace.forEach(({ from }, index) => {
          expect(from).toBe(index === 0 ? 'received' : machine.trace[index - 1]!.to);
        });
        expect(machine.final).toBe(isFinal(machine.state));
        // Every turn ends: each state once, and once more for each step back.
        const back = bounds.tools_called * 2 + bounds.prompt_too_long;
        expect(machine.trace.length).toBeLessThanOrEqual(TURN_STATES.length + back);
      }),
      { numRuns: 300 },
    );
  });

  it('reaches every state from the start, and a final state from every state', () => {
    const reached = (from: TurnState) => {
      const seen = new Set([from]);
      for (const state of seen) for (const { from: at, to } of transitions) if (at === state) seen.add(to);
      return seen;
    };
    expect([...reached('received')].sort()).toEqual([...TURN_STATES].sort());
    for (const state of TURN_STATES) expect([...reached(state)].some(isFinal)).toBe(true);
  });

  it('comes back to a state only by steps that are counted', () => {
    const free = transitions.filter(({ atMost }) => atMost === undefined);
    const from = (state: TurnState, seen: readonly TurnState[]): void => {
      expect(seen).not.toContain(state);
      for (const { from: at, to } of free) if (at === state) from(to, [...seen, state]);
    };
    from('received', []);
  });

  it('can fail in every state, and be cancelled in every state but the one that stores a complete answer', () => {
    for (const [state, { on }] of Object.entries(TURN_MACHINE) as [ActiveTurnState, { on: object }][]) {
      expect(on).toHaveProperty('failed');
      expect('cancelled' in on).toBe(state !== 'answered');
    }
  });

  it('is drawn with every transition and every final state', () => {
    const drawing = toMermaid();
    expect(drawing).toMatch(/^stateDiagram-v2\n {2}\[\*\] --> received\n/);
    for (const { from, cause, to } of transitions) {
      expect(drawing).toContain(`  ${from} --> ${to}`);
      if (cause !== to) expect(drawing).toContain(cause.replaceAll('_', ' '));
    }
    for (const { name, final } of states) expect(drawing.includes(`${name} --> [*]`)).toBe(final);
  });
});
