/** One `label <op> "value"` of a selector. */
export interface Matcher {
  readonly label: string;
  readonly op: '=' | '!=' | '=~' | '!~';
  readonly value: string;
}

/** A metric an expression reads. */
export interface Selector {
  readonly metric: string;
  readonly matchers: readonly Matcher[];
}

/** What an expression reads and by which labels it groups or joins. */
export interface ExpressionParts {
  readonly selectors: readonly Selector[];
  readonly labels: readonly string[];
}

/** An expression this reader does not understand; `promtool` says what is wrong with one that is not PromQL. */
export class ExpressionUnreadableError extends Error {
  override readonly name = 'ExpressionUnreadableError';

  constructor(expression: string, position: number) {
    super(`cannot read ${JSON.stringify(expression.slice(position, position + 30))} in ${expression}`);
  }
}

const TOKEN =
  /\s+|#[^\n]*|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[a-zA-Z_:][a-zA-Z0-9_:]*|\d[\w.]*|\$\{?\w+\}?|=~|!~|!=|>=|<=|==|[-+*/%^<>=(){}[\],@.]/y;
const LABEL_LISTS = new Set(['by', 'without', 'on', 'ignoring', 'group_left', 'group_right']);
const WORDS = new Set(['and', 'or', 'unless', 'offset', 'bool', 'atan2', 'inf', 'nan']);

/**
 * Finds the metrics and labels of a PromQL expression. It reads tokens, not the grammar: selectors need a metric name,
 * and names are never those of functions.
 * @throws ExpressionUnreadableError on a character that no token begins with, or a selector without a name.
 */
export function readExpression(expression: string): ExpressionParts {
  const tokens = tokensOf(expression);
  const selectors: Selector[] = [];
  const labels: string[] = [];
  let depthOfRange = 0;
  for (let at = 0; at < tokens.length; at++) {
    const { text, position } = tokens[at]!;
    const next = tokens[at + 1]?.text;
    if (text === '[') depthOfRange++;
    else if (text === ']') depthOfRange--;
    else if (text === '{') throw new ExpressionUnreadableError(expression, position);
    if (depthOfRange > 0 || !/^[a-zA-Z_:]/.test(text) || WORDS.has(text.toLowerCase())) continue;
    if (LABEL_LISTS.has(text)) {
      if (next !== '(') continue;
      for (at += 2; tokens[at] && tokens[at]!.text !== ')'; at++)
        if (tokens[at]!.text !== ',') labels.push(tokens[at]!.text);
      continue;
    }
    if (next === '(') continue;
    // `sum by (job) (x)`: the function's name is followed by its label list.
    if (next !== undefined && (next === 'by' || next === 'without')) continue;
    const matchers: Matcher[] = [];
    if (next === '{') at = readMatchers(expression, tokens, at + 2, matchers);
    selectors.push({ metric: text, matchers });
  }
  return { selectors, labels };
}

interface Token {
  readonly text: string;
  readonly position: number;
}

function tokensOf(expression: string): Token[] {
  const tokens: Token[] = [];
  const pattern = new RegExp(TOKEN);
  while (pattern.lastIndex < expression.length) {
    const position = pattern.lastIndex;
    const text = pattern.exec(expression)?.[0];
    if (text === undefined) throw new ExpressionUnreadableError(expression, position);
    if (!/^[\s#]/.test(text)) tokens.push({ text, position });
  }
  return tokens;
}

/** Reads up to the closing brace and returns its place. */
function readMatchers(
  expression: string,
  tokens: readonly Token[],
  from: number,
  matchers: Matcher[],
): number {
  let at = from;
  while (tokens[at]?.text !== '}') {
    const [label, op, value] = [tokens[at], tokens[at + 1]?.text, tokens[at + 2]?.text];
    if (!label || !value || !/^(=|!=|=~|!~)$/.test(op ?? '') || !/^["']/.test(value))
      throw new ExpressionUnreadableError(expression, label?.position ?? expression.length);
    matchers.push({ label: label.text, op: op as Matcher['op'], value: value.slice(1, -1) });
    at += 3;
    if (tokens[at]?.text === ',') at++;
  }
  return at;
}
