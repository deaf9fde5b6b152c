/**
 * The start of a block comment, line comments, quoted names, the kinds of string constants (with what is left
 * open at the end of a text that was cut), parameters, names, numbers. What none of these matches stays.
 */
const TOKENS = [
  /\/\*|--[^\n]*/,
  /"(?:[^"]|"")*(?:"|$)/,
  /[eE]'(?:[^'\\]|\\[\s\S]|'')*(?:'|$)/,
  /(?:[bBxXnN]|[uU]&)?'(?:[^']|'')*(?:'|$)/,
  /\$(?<tag>[a-zA-Z_\u0080-\uffff][\w\u0080-\uffff]*)?\$[\s\S]*?(?:\$\k<tag>\$|$)/,
  /\$\d+|[a-zA-Z_\u0080-\uffff][\w$\u0080-\uffff]*/,
  /(?:\d[\w.]*|\.\d[\w.]*)(?:(?<=[eE])[+-]\d+)?/,
];
const TOKEN = new RegExp(TOKENS.map(({ source }) => source).join('|'), 'g');
const CONSTANT = /^(?:(?:[eEbBxXnN]|[uU]&)?'|\$(?!\d)|[\d.])/;

/**
 * A statement's text without the values in it: string constants and numbers become `?`, comments go.
 * `pg_stat_statements` itself puts parameters for the values of queries, and leaves those of utility
 * statements (`ALTER ROLE … PASSWORD '…'`, `CREATE …`, `SET …`) as they are.
 */
export function withoutLiterals(text: string): string {
  let result = '';
  let at = 0;
  for (;;) {
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(text);
    if (!token) break;
    result += text.slice(at, token.index);
    at = TOKEN.lastIndex;
    if (token[0] === '/*') at = endOfComment(text, at);
    if (token[0] === '/*' || token[0].startsWith('--')) result += ' ';
    else result += CONSTANT.test(token[0]) ? '?' : token[0];
  }
  return (result + text.slice(at)).replace(/\s+/g, ' ').trim();
}

/** Comments of PostgreSQL contain comments. */
function endOfComment(text: string, start: number): number {
  let depth = 1;
  for (const { 0: mark, index } of text.slice(start).matchAll(/\/\*|\*\//g)) {
    depth += mark === '/*' ? 1 : -1;
    if (depth === 0) return start + index + 2;
  }
  return text.length;
}
