import type { Clock } from '@sparkle/contracts';
import { TransitionInvalidError } from '../errors.js';

/** Where a turn is. The last three are final. */
export const TURN_STATES = [
  'received',
  'admitted',
  'recalled',
  'retrieved',
  'answered',
  'persisted',
  'failed',
  'cancelled',
] as const;

export type TurnState = (typeof TURN_STATES)[number];

/** A state that work starts from, and that therefore has a time budget. */
export type ActiveTurnState = Exclude<TurnState, 'persisted' | 'failed' | 'cancelled'>;

/**
 * Which states may follow which. A complete answer is stored even when its caller has left, so `answered`
 * cannot be cancelled.
 */
export const TURN_TRANSITIONS: Readonly<Record<TurnState, readonly TurnState[]>> = {
  received: ['admitted', 'failed', 'cancelled'],
  admitted: ['recalled', 'failed', 'cancelled'],
  recalled: ['retrieved', 'failed', 'cancelled'],
  retrieved: ['answered', 'failed', 'cancelled'],
  answered: ['persisted', 'failed'],
  persisted: [],
  failed: [],
  cancelled: [],
};

/** What a turn does on its way out of a state. */
const ACTIVITIES: Readonly<Record<ActiveTurnState, string>> = {
  received: 'look up the key, ask for admission, store the message',
  admitted: 'assemble the memory',
  recalled: 'retrieve passages',
  retrieved: 'call the model',
  answered: 'store the answer',
};

/** True when no transition leaves `state`. */
export function isFinal(state: TurnState): boolean {
  return TURN_TRANSITIONS[state].length === 0;
}

/** The machine as data, for drawing and for checks. */
export interface StateMachineDescription {
  readonly initial: TurnState;
  readonly states: readonly { readonly name: TurnState; readonly final: boolean; readonly does?: string }[];
  readonly transitions: readonly { readonly from: TurnState; readonly to: TurnState }[];
}

/** The turn's state machine as data. */
export function describe(): StateMachineDescription {
  return {
    initial: 'received',
    states: TURN_STATES.map((name) =>
      isFinal(name)
        ? { name, final: true }
        : { name, final: false, does: ACTIVITIES[name as ActiveTurnState] },
    ),
    transitions: TURN_STATES.flatMap((from) => TURN_TRANSITIONS[from].map((to) => ({ from, to }))),
  };
}

/** A description as a Mermaid `stateDiagram-v2`. */
export function toMermaid(machine: StateMachineDescription = describe()): string {
  return [
    'stateDiagram-v2',
    `  [*] --> ${machine.initial}`,
    ...machine.transitions.map(({ from, to }) => {
      const does = machine.states.find((state) => state.name === from)?.does;
      const label = does && to !== 'failed' && to !== 'cancelled' ? `: ${does}` : '';
      return `  ${from} --> ${to}${label}`;
    }),
    ...machine.states.filter((state) => state.final).map((state) => `  ${state.name} --> [*]`),
    '',
  ].join('\n');
}

/** One step of a turn; `ms` is the time spent in `from`. */
export interface TurnTransition {
  readonly from: TurnState;
  readonly to: TurnState;
  readonly ms: number;
}

/** The state of one turn with the trace of how it got there. */
export class TurnMachine {
  private current: TurnState = 'received';
  private enteredAt: number;
  private readonly steps: TurnTransition[] = [];

  constructor(private readonly clock: Pick<Clock, 'monotonic'>) {
    this.enteredAt = clock.monotonic();
  }

  get state(): TurnState {
    return this.current;
  }

  get final(): boolean {
    return isFinal(this.current);
  }

  /** Every transition so far, in order. */
  get trace(): readonly TurnTransition[] {
    return [...this.steps];
  }

  /**
   * Makes one step.
   * @throws TransitionInvalidError when the machine has no such transition; the state stays.
   */
  advance(to: TurnState): TurnTransition {
    if (!TURN_TRANSITIONS[this.current].includes(to)) throw new TransitionInvalidError(this.current, to);
    const now = this.clock.monotonic();
    const step = { from: this.current, to, ms: Math.max(0, Math.round((now - this.enteredAt) * 100) / 100) };
    this.steps.push(step);
    this.current = to;
    this.enteredAt = now;
    return step;
  }
}
