import { SparkleError } from '@sparkle/contracts';
import type { TurnState } from './chat/state-machine.js';

/** Base of every error `@sparkle/conversation` throws on purpose. */
export abstract class ConversationError extends SparkleError {
  /** True when the same call may succeed later, unchanged. */
  readonly retryable: boolean = false;
}

/** The configuration was refused; `paths` names every wrong setting, never its value. */
export class ConversationOptionsInvalidError extends ConversationError {
  readonly code = 'CONVERSATION_OPTIONS_INVALID';

  constructor(readonly paths: readonly string[]) {
    super(`Conversation options are invalid: ${paths.join('; ')}.`);
  }
}

/** No such conversation for this tenant and user. Someone else's conversation gives the same error. */
export class ConversationNotFoundError extends ConversationError {
  readonly code = 'CONVERSATION_NOT_FOUND';

  constructor() {
    super('There is no such conversation.');
  }
}

/** A conversation's title was refused. */
export class ConversationTitleInvalidError extends ConversationError {
  readonly code = 'CONVERSATION_TITLE_INVALID';

  constructor(readonly limit: number) {
    super(`A title has 1 to ${limit} characters and no NUL.`);
  }
}

/** A message has no visible character. */
export class MessageEmptyError extends ConversationError {
  readonly code = 'MESSAGE_EMPTY';

  constructor() {
    super('A message needs at least one visible character.');
  }
}

/** A message is longer than the limit, counted in UTF-16 code units. */
export class MessageTooLongError extends ConversationError {
  readonly code = 'MESSAGE_TOO_LONG';

  constructor(
    readonly length: number,
    readonly limit: number,
  ) {
    super(`The message has ${length} characters; at most ${limit} are allowed.`);
  }
}

/** A message or its metadata holds what PostgreSQL cannot store. */
export class MessageInvalidError extends ConversationError {
  readonly code = 'MESSAGE_INVALID';

  constructor(what: string) {
    super(what);
  }
}

/** An idempotency key was refused. */
export class IdempotencyKeyInvalidError extends ConversationError {
  readonly code = 'IDEMPOTENCY_KEY_INVALID';

  constructor() {
    super('An idempotency key has 1 to 200 printable ASCII characters.');
  }
}

/** The key was used before, for a different message. */
export class IdempotencyKeyReusedError extends ConversationError {
  readonly code = 'IDEMPOTENCY_KEY_REUSED';

  constructor() {
    super('This idempotency key was used for a different message of the conversation.');
  }
}

/** Another request is answering this message right now. */
export class MessageInProgressError extends ConversationError {
  readonly code = 'MESSAGE_IN_PROGRESS';
  override readonly retryable = true;

  /** @param retryAfterMs when to ask again. */
  constructor(readonly retryAfterMs: number) {
    super(`This message is being answered; ask again in ${retryAfterMs} ms with the same key.`);
  }
}

/** A page of messages was asked for with a wrong cursor or size. */
export class PageInvalidError extends ConversationError {
  readonly code = 'PAGE_INVALID';

  constructor(readonly maxLimit: number) {
    super(`A cursor is a message number of 0 or more; a limit is a whole number from 1 to ${maxLimit}.`);
  }
}

/** A page of conversations was asked for with a cursor that no page gave. */
export class CursorInvalidError extends ConversationError {
  readonly code = 'CURSOR_INVALID';

  constructor() {
    super('A cursor is the "nextCursor" of the page before, unchanged.');
  }
}

/**
 * A turn, or one of its states, was not over within its time budget. A message that is stored is answered by a retry.
 */
export class TurnTimeoutError extends ConversationError {
  readonly code = 'TURN_TIMED_OUT';
  override readonly retryable = true;

  constructor(
    readonly state: TurnState,
    readonly budgetMs: number,
    /** Whose time was up. */
    readonly budgetOf: 'state' | 'turn' = 'state',
  ) {
    super(
      budgetOf === 'state'
        ? `The turn did not leave the state "${state}" within ${budgetMs} ms.`
        : `The turn was not over within ${budgetMs} ms; it was in the state "${state}".`,
    );
  }
}

/** The caller left before the answer was complete. What was written by then is stored. */
export class TurnCancelledError extends ConversationError {
  readonly code = 'TURN_CANCELLED';
  override readonly retryable = true;

  constructor(options?: { cause?: unknown }) {
    super('The turn was cancelled by its caller.', options);
  }
}

/** This process lost its claim on the message (its lease ran out and a retry took over). */
export class TurnLostError extends ConversationError {
  readonly code = 'TURN_LOST';
  override readonly retryable = true;

  constructor() {
    super('Another request took over answering this message.');
  }
}

/** The model finished without a word. */
export class AnswerEmptyError extends ConversationError {
  readonly code = 'ANSWER_EMPTY';
  override readonly retryable = true;

  constructor() {
    super('The model gave no answer.');
  }
}

/** A turn was told to make a step its state machine does not have, or has made as often as it may. */
export class TransitionInvalidError extends ConversationError {
  readonly code = 'TRANSITION_INVALID';

  constructor(
    readonly from: TurnState,
    /** What should have moved the turn on. */
    readonly step: string,
  ) {
    super(`A turn in the state "${from}" cannot make the step "${step}".`);
  }
}
