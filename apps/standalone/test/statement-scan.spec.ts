import { describe, expect, it } from 'vitest';
import { statementsIn } from '../src/index-report/statement-scan.js';

const found = (code: string) => statementsIn('libs/some/src/some.store.ts', code);

describe('statementsIn', () => {
  it('finds what a query is called with, and names it by its function or method', () => {
    const statements = found(`
      export async function readNames(sql) { return sql.query('SELECT name FROM nodes'); }
      class Store { async find(id) { return this.sql.query<Row>(\`SELECT * FROM rows WHERE id = $1\`, [id]); } }
    `);
    expect(statements.map(({ name }) => name)).toEqual([
      'libs/some/src/some.store.ts:readNames',
      'libs/some/src/some.store.ts:Store.find',
    ]);
  });

  it('matches what was sent whatever stands in the holes, and however it is broken into lines', () => {
    const [statement] = found(`sql.query(\`SELECT \${VIEW} FROM documents\n       WHERE tenant_id = $1\`)`);
    expect(statement!.matches('SELECT id, title FROM documents WHERE tenant_id = $1')).toBe(true);
    expect(statement!.matches('SELECT id FROM documents WHERE tenant_id = $1 AND id = $2')).toBe(false);
  });

  it('matches when nothing fills a hole', () => {
    const [statement] = found(
      `sql.query(\`SELECT id FROM rows WHERE id = $1\n  \${lock ? "FOR UPDATE" : ""}\`)`,
    );
    expect(statement!.matches('SELECT id FROM rows WHERE id = $1\n  ')).toBe(true);
    expect(statement!.matches('SELECT id FROM rows WHERE id = $1 FOR UPDATE')).toBe(true);
  });

  it('takes a constant for a piece of a longer statement', () => {
    const [piece] = found(`const PUBLISHED = "SELECT id FROM documents WHERE state = 'ready'";`);
    expect(
      piece!.matches(
        "SELECT 1 FROM chunks WHERE document_id IN (SELECT id FROM documents WHERE state = 'ready')",
      ),
    ).toBe(true);
  });

  it('finds a statement that is handed on in a variable, and one that is joined of two', () => {
    const statements = found(`
      const text = 'DELETE FROM entries ' + condition;
      run(text);
    `);
    expect(statements).toHaveLength(1);
    expect(statements[0]!.matches('DELETE FROM entries WHERE id = 1')).toBe(true);
  });

  it('finds no statement in prose', () => {
    expect(found(`throw new Error('Select a course with a target.'); log('UPDATES are on');`)).toEqual([]);
  });
});
