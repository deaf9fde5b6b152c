import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import ts from 'typescript';

/** An SQL statement as it stands in the sources. */
export interface SourceStatement {
  /** `path/to/file.ts:Class.method`. */
  readonly name: string;
  readonly file: string;
  readonly line: number;
  /** The text with its white space folded; `…` stands for what is filled in at run time. */
  readonly text: string;
  /** Whether a text sent to the database is this statement, or was made with this piece of one. */
  matches(sent: string): boolean;
}

/** Statements that begin with one of these have a plan. */
const SQL = /^\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|MERGE INTO)\s/;
const HOLE = '…';

/** What is no statement of the running application. */
const NOT_APPLICATION =
  /\.(spec|int-spec|prop-spec|e2e-spec|contract|fixture)\.ts$|\/testing\/|\/migrations\/|migrations?\.ts$/;

/**
 * Finds every SQL statement in the sources of the workspace: string and template literals that begin like one,
 * and whatever literal a `query(…)` is called with. Migrations and tests are left out.
 * @param root folder of the workspace.
 */
export async function scanStatements(root: string): Promise<SourceStatement[]> {
  const found: SourceStatement[] = [];
  for (const file of await sourceFiles(root)) {
    const text = await readFile(join(root, file), 'utf8');
    found.push(...statementsIn(file, text));
  }
  return found;
}

/** The statements of one source text. */
export function statementsIn(file: string, text: string): SourceStatement[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const found: SourceStatement[] = [];
  const visit = (node: ts.Node): void => {
    const pattern = ts.isExpression(node) ? literalText(node) : undefined;
    if (pattern !== undefined) {
      const sent = isSentAsIs(node);
      if (SQL.test(pattern) || (sent && pattern.startsWith(HOLE)))
        found.push(toStatement(file, source, node, pattern, sent));
      // What is filled in may itself be a piece of SQL; only its own statements count.
      if (!ts.isTemplateExpression(node)) return;
      for (const span of node.templateSpans) visit(span.expression);
      return;
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** The text of a literal, or of literals joined by `+`, with {@link HOLE} for the rest; undefined for anything else. */
function literalText(node: ts.Expression): string | undefined {
  if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) return node.text;
  if (ts.isTemplateExpression(node))
    return node.head.text + node.templateSpans.map((span) => HOLE + span.literal.text).join('');
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken) {
    const sides = [node.left, node.right].map(literalText);
    if (sides.every((side) => side === undefined)) return undefined;
    return sides.map((side) => side ?? HOLE).join('');
  }
  return undefined;
}

/** True for the first argument of `something.query(…)`. */
function isSentAsIs(node: ts.Node): boolean {
  const call = node.parent;
  return (
    ts.isCallExpression(call) &&
    call.arguments[0] === node &&
    ts.isPropertyAccessExpression(call.expression) &&
    call.expression.name.text === 'query'
  );
}

function toStatement(
  file: string,
  source: ts.SourceFile,
  node: ts.Node,
  pattern: string,
  sent: boolean,
): SourceStatement {
  const folded = fold(pattern);
  const escaped = folded
    .split(HOLE)
    // What fills a hole may be nothing, and then the space beside it is gone as well.
    .map((part) => part.trim().replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('[^]*');
  const expression = new RegExp(sent ? `^${escaped}$` : escaped);
  return {
    name: `${file}:${ownerOf(node)}`,
    file,
    line: source.getLineAndCharacterOfPosition(node.getStart()).line + 1,
    text: folded,
    matches: (text) => expression.test(fold(text)),
  };
}

function fold(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

/** `Class.method`, the function, or the constant that a node belongs to. */
function ownerOf(node: ts.Node): string {
  let name: string | undefined;
  for (let at: ts.Node | undefined = node; at; at = at.parent) {
    if (ts.isClassDeclaration(at)) return [at.name?.text, name].filter(Boolean).join('.');
    if (isNamed(at) && ts.isIdentifier(at.name)) name = at.name.text;
    else if (ts.isConstructorDeclaration(at)) name = 'constructor';
  }
  return name ?? basename(node.getSourceFile().fileName);
}

function isNamed(node: ts.Node): node is ts.NamedDeclaration & { name: ts.DeclarationName } {
  return (
    (ts.isFunctionDeclaration(node) ||
      ts.isMethodDeclaration(node) ||
      ts.isVariableDeclaration(node) ||
      ts.isGetAccessor(node)) &&
    node.name !== undefined
  );
}

async function sourceFiles(root: string): Promise<string[]> {
  const files: string[] = [];
  for (const group of ['libs', 'apps']) {
    for (const name of await readdir(join(root, group))) {
      const folder = `${group}/${name}/src`;
      const entries = await readdir(join(root, folder), { recursive: true }).catch(() => []);
      for (const entry of entries) if (entry.endsWith('.ts')) files.push(`${folder}/${entry}`);
    }
  }
  return files.filter((file) => !NOT_APPLICATION.test(file)).sort();
}
