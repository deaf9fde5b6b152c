import { AsyncLocalStorage } from 'node:async_hooks';

const storage = new AsyncLocalStorage<QueryCounter>();

/**
 * Counts the statements that work inside {@link QueryCounter.run} sends through `Database`; statements that
 * only begin, end or scope a transaction are not counted. Tests use it to prove the absence of N+1 queries.
 */
export class QueryCounter {
  private readonly texts: string[] = [];

  /** Runs `work` and returns its result together with the statements it sent. */
  static async run<T>(work: () => Promise<T>): Promise<{ result: T; queries: QueryCounter }> {
    const queries = new QueryCounter();
    const result = await storage.run(queries, work);
    return { result, queries };
  }

  /** Notes one statement for the counter in effect, if any. */
  static note(text: string): void {
    storage.getStore()?.texts.push(text);
  }

  get count(): number {
    return this.texts.length;
  }

  /** The statements in the order they were sent. */
  get statements(): readonly string[] {
    return this.texts;
  }

  /** Statement texts sent more than once, with how often: the signature of an N+1 query. */
  get repeated(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const text of this.texts) counts.set(text, (counts.get(text) ?? 0) + 1);
    return new Map([...counts].filter(([, count]) => count > 1));
  }
}
