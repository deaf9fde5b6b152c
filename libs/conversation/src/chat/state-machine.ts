import type { Clock } from '@sparkle/contracts';
import { TransitionInvalidError } from '../errors.js';

/** Where a turn is. The last three are final. */
export const TURN_STATES = [
  'received',
  'admitted',
  'recalled',
  'retrieved',
  'tool',
  'model',
  'answered',
  'persisted',
  'failed',
  'cancelled',
] as const;

export type TurnState = (typeof TURN_STATES)[number];

/** A state that work starts from, and that therefore has a time budget. */
export type ActiveTurnState = Exclude<TurnState, 'persisted' | 'failed' | 'cancelled'>;

interface StateRow {
  /** What a turn does on its way out of the state. */
  readonly does: string;
  /** What may come of it, and where that leads. */
  readonly on: Readonly<Record<string, TurnState>>;
}

const STOPS = { failed: 'failed', cancelled: 'cancelled' } as const;

/**
 * The machine: what is done in each state, what may come of it, and which state follows. The orchestrator runs it,
 * and the picture in the docs is drawn from it. A complete answer is stored even when its caller has left, so
 * `answered` cannot be cancelled.
 */
export const TURN_MACHINE = {
  received: {
    does: 'look up the key, ask for admission, store the message',
    on: { message_stored: 'admitted', answer_on_record: 'persisted', ...STOPS },
  },
  admitted: { does: 'assemble the memory', on: { memory_assembled: 'recalled', ...STOPS } },
  recalled: { does: 'retrieve passages', on: { passages_retrieved: 'retrieved', ...STOPS } },
  retrieved: {
    does: 'see whether a rule names a tool',
    on: { prompt_ready: 'model', rule_names_tool: 'tool', ...STOPS },
  },
  tool: {
    does: 'run the tools, clip what they found',
    on: { results_ready: 'model', tool_answers: 'answered', ...STOPS },
  },
  model: {
    does: 'call the model',
    on: { text_complete: 'answered', tools_called: 'tool', prompt_too_long: 'model', ...STOPS },
  },
  answered: {
    does: 'store the answer',
    on: { answer_stored: 'persisted', failed: 'failed' },
  },
} as const satisfies Readonly<Record<ActiveTurnState, StateRow>>;

/** What moves a turn out of a state. */
export type TurnCause<State extends ActiveTurnState = ActiveTurnState> = State extends unknown
  ? keyof (typeof TURN_MACHINE)[State]['on'] & string
  : never;

/** What work in a state may come to by itself; stops come from outside of it. */
export type TurnOutcome<State extends ActiveTurnState = ActiveTurnState> = Exclude<
  TurnCause<State>,
  keyof typeof STOPS
>;

/** How often a turn may take the steps that lead back; all others are taken once at most. */
export interface TurnLimits {
  /** Default 4. */
  readonly tools_called?: number;
  /** Default 1. */
  readonly prompt_too_long?: number;
}

const DEFAULT_LIMITS: Required<TurnLimits> = { tools_called: 4, prompt_too_long: 1 };

/** True when no transition leaves `state`. */
export function isFinal(state: TurnState): state is Exclude<TurnState, ActiveTurnState> {
  return !Object.hasOwn(TURN_MACHINE, state);
}

/** One arrow of the machine. */
export interface TurnArrow {
  readonly from: ActiveTurnState;
  readonly cause: string;
  readonly to: TurnState;
  /** How often a turn may take it; absent when it cannot come by twice. */
  readonly atMost?: number;
}

/** The machine as data, for drawing and for checks. */
export interface StateMachineDescription {
  readonly initial: TurnState;
  readonly states: readonly { readonly name: TurnState; readonly final: boolean; readonly does?: string }[];
  readonly transitions: readonly TurnArrow[];
}

/** The turn's state machine as data. */
export function describe(limits: TurnLimits = {}): StateMachineDescription {
  const bounds = { ...DEFAULT_LIMITS, ...limits };
  return {
    initial: 'received',
    states: TURN_STATES.map((name) =>
      isFinal(name) ? { name, final: true } : { name, final: false, does: TURN_MACHINE[name].does },
    ),
    transitions: TURN_STATES.filter((name) => !isFinal(name)).flatMap((from) =>
      Object.entries(arrowsOf(from)).map(([cause, to]) => ({
        from,
        cause,
        to,
        ...(cause in bounds && { atMost: bounds[cause as keyof TurnLimits] }),
      })),
    ),
  };
}

/** A description as a Mermaid `stateDiagram-v2`. */
export function toMermaid(machine: StateMachineDescription = describe()): string {
  const spoken = (text: string) => text.replaceAll('_', ' ');
  return [
    'stateDiagram-v2',
    `  [*] --> ${machine.initial}`,
    ...machine.states.flatMap(({ name, does }) => (does ? [`  ${name}: ${name}<br/>${does}`] : [])),
    ...machine.transitions.map(({ from, cause, to, atMost }) => {
      if (to === cause) return `  ${from} --> ${to}`;
      return `  ${from} --> ${to}: ${spoken(cause)}${atMost === undefined ? '' : ` (${atMost}× at most)`}`;
    }),
    ...machine.states.filter(({ final }) => final).map(({ name }) => `  ${name} --> [*]`),
    '',
  ].join('\n');
}

function arrowsOf(state: TurnState): Readonly<Record<string, TurnState>> {
  return isFinal(state) ? {} : TURN_MACHINE[state].on;
}

/** One step of a turn; `ms` is the time spent in `from`. */
export interface TurnTransition {
  readonly from: TurnState;
  readonly to: TurnState;
  readonly cause: string;
  readonly ms: number;
}

/** The state of one turn with the trace of how it got there. */
export class TurnMachine {
  private current: TurnState = 'received';
  private enteredAt: number;
  private readonly steps: TurnTransition[] = [];
  private readonly left: Record<keyof TurnLimits, number>;

  constructor(
    private readonly clock: Pick<Clock, 'monotonic'>,
    limits: TurnLimits = {},
  ) {
    this.enteredAt = clock.monotonic();
    this.left = { ...DEFAULT_LIMITS, ...limits };
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

  /** Whether the machine has such a transition here, and the turn has not taken it too often. */
  can(cause: TurnCause): boolean {
    if (!Object.hasOwn(arrowsOf(this.current), cause)) return false;
    return !isLimited(cause) || this.left[cause] > 0;
  }

  /**
   * Makes one step.
   * @throws TransitionInvalidError when the machine has no such transition, or has taken it too often; the state
   *   stays.
   */
  advance(cause: TurnCause): TurnTransition {
    const to = arrowsOf(this.current)[cause];
    if (to === undefined || !this.can(cause)) throw new TransitionInvalidError(this.current, cause);
    if (isLimited(cause)) this.left[cause] -= 1;
    const now = this.clock.monotonic();
    const ms = Math.max(0, Math.round((now - this.enteredAt) * 100) / 100);
    const step = { from: this.current, to, cause, ms };
    this.steps.push(step);
    this.current = to;
    this.enteredAt = now;
    return step;
  }
}

function isLimited(cause: string): cause is keyof TurnLimits {
  return Object.hasOwn(DEFAULT_LIMITS, cause);
}
