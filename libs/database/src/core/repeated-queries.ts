import { channels, type TenantId } from '@sparkle/contracts';
import { CallTrace } from './call-origin.js';
import type { DatabaseWarning } from './database-warning.js';
import { RequestScope } from './request-scope.js';

const SHOWN_CALLERS = 5;
/** Enough to see through TypeORM. */
const CAPTURED_FRAMES = 40;
const SHOWN_CHARACTERS = 500;

const STRING = /E?'(?:[^']|'')*'/g;
const NUMBER = /(?<![\w$.])-?\d+(?:\.\d+)?\b/g;
const PARAMETER_LIST = /\(\s*(?:\$\d+|\?)(?:::[a-z_[\]]+)?(?:\s*,\s*(?:\$\d+|\?)(?:::[a-z_[\]]+)?)*\s*\)/g;
const ROW_LIST = /\(…\)(?:\s*,\s*\(…\))+/g;

/** The text of a statement without what varies from call to call: values, list lengths, white space. */
export function statementShape(text: string): string {
  return text
    .replace(STRING, '?')
    .replace(NUMBER, '?')
    .replace(PARAMETER_LIST, '(…)')
    .replace(ROW_LIST, '(…)')
    .replace(/\s+/g, ' ')
    .trim();
}

/**
 * Warns when one request sends a statement of the same shape again and again, which is what reading a list and
 * then each of its members looks like. For development: it looks at the text of every statement.
 */
export class RepeatedQueryDetector {
  private readonly counts = new WeakMap<object, Map<string, number>>();

  /** @param threshold how many statements of one shape are one too many. */
  constructor(
    private readonly threshold: number,
    private readonly warn: (warning: DatabaseWarning) => void,
  ) {}

  /**
   * Counts a statement for the request in effect, or, outside of one, for `transaction`.
   * @param sentBy the function the caller called.
   * @param openedBy who opened the transaction: as far as the engine is concerned, not a caller of its work.
   */
  note(
    text: string,
    tenantId: TenantId | undefined,
    transaction: object,
    sentBy: (...args: never[]) => unknown,
    openedBy: CallTrace,
  ): void {
    const request = RequestScope.current;
    const counts = this.countsOf(request ?? transaction);
    const shape = statementShape(text);
    const count = (counts.get(shape) ?? 0) + 1;
    counts.set(shape, count);
    if (count !== this.threshold) return;
    const callers = [
      ...new Set([
        ...new CallTrace(sentBy, CAPTURED_FRAMES).callers(SHOWN_CALLERS),
        ...openedBy.callers(SHOWN_CALLERS),
      ]),
    ].slice(0, SHOWN_CALLERS);
    channels.database.publish({
      kind: 'repeated_query',
      ...(tenantId && { tenantId }),
      shape: shape.slice(0, SHOWN_CHARACTERS),
      count,
      ...(callers[0] && { origin: callers[0] }),
    });
    const where = request ? `one request${request.label ? ` (${request.label})` : ''}` : 'one transaction';
    this.warn({
      kind: 'repeated_query',
      message:
        `The same statement was sent ${count} times in ${where}; load the rows together instead: ` +
        `${shape.slice(0, SHOWN_CHARACTERS)}${callers.map((caller) => `\n    at ${caller}`).join('')}`,
    });
  }

  private countsOf(scope: object): Map<string, number> {
    const known = this.counts.get(scope);
    if (known) return known;
    const counts = new Map<string, number>();
    this.counts.set(scope, counts);
    return counts;
  }
}
