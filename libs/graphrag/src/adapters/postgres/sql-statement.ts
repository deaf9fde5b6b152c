import type { SqlClient } from '@sparkle/contracts';

/** A piece of SQL with its parameters; pieces are put together by {@link sql}. */
export class SqlStatement {
  constructor(
    private readonly texts: readonly string[],
    private readonly values: readonly unknown[],
  ) {}

  /** The statement's rows. An array that occurs several times is one parameter. */
  rows<Row extends object>(client: SqlClient): Promise<Row[]> {
    const parameters: unknown[] = [];
    return client.query<Row>(this.render(parameters), parameters);
  }

  private render(parameters: unknown[]): string {
    return this.texts
      .map((text, at) => {
        if (at === this.values.length) return text;
        const value = this.values[at];
        if (value instanceof SqlStatement) return text + value.render(parameters);
        let place = typeof value === 'object' ? parameters.indexOf(value) : -1;
        if (place < 0) place = parameters.push(value) - 1;
        return `${text}$${place + 1}`;
      })
      .join('');
  }
}

/** SQL whose interpolated values become parameters, or parts when they are SQL themselves. */
export function sql(texts: TemplateStringsArray, ...values: unknown[]): SqlStatement {
  return new SqlStatement(texts, values);
}

/** The pieces one after the other, with `separator` between them. */
export function joined(pieces: readonly SqlStatement[], separator: string): SqlStatement {
  if (pieces.length === 0) return new SqlStatement([''], []);
  return new SqlStatement(['', ...pieces.slice(1).map(() => separator), ''], pieces);
}

/** SQL from a string that no caller has any part in. */
export function raw(text: string): SqlStatement {
  return new SqlStatement([text], []);
}
