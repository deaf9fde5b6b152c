import type { ContextPassage } from '@sparkle/llm';
import type {
  Citation,
  LinkedEntity,
  Retrieved,
  RetrieveRequest,
  Retriever,
} from '../ports/retriever.port.js';

/** A retriever that finds what it was given and remembers what it was asked. */
export class ScriptedRetriever implements Retriever {
  readonly requests: RetrieveRequest[] = [];
  passages: readonly ContextPassage[] = [];
  linked: readonly LinkedEntity[] = [];
  paths: readonly object[] = [];
  /** Set to make every call fail with it. */
  failure: unknown;

  async retrieve(request: RetrieveRequest): Promise<Retrieved> {
    this.requests.push(request);
    if (this.failure !== undefined) throw this.failure;
    const { passages } = this;
    return {
      passages,
      resolveCitations: (ids): readonly Citation[] =>
        passages
          .filter(({ id }) => ids.includes(id))
          .map(({ id, text }) => ({ id, kind: 'chunk', quote: text })),
      paths: this.paths,
      strategy: 'scripted',
      durationMs: 1,
      linked: this.linked,
    };
  }
}
