import { SparkleError } from '@sparkle/contracts';

/** Base of every error `@sparkle/graphrag` throws on purpose. */
export abstract class GraphragError extends SparkleError {}

/**
 * A document that can never be ingested as it is: trying again gives the same result. Anything else thrown
 * while ingesting is taken for transient and left to the queue's retries.
 */
export abstract class DocumentError extends GraphragError {}

/** Thrown for a document without any text. */
export class DocumentEmptyError extends DocumentError {
  readonly code = 'DOCUMENT_EMPTY';

  constructor() {
    super('The document holds no text.');
  }
}

/** Thrown for a document over the size limit. */
export class DocumentTooLargeError extends DocumentError {
  readonly code = 'DOCUMENT_TOO_LARGE';

  constructor(
    readonly bytes: number,
    readonly limitBytes: number,
  ) {
    super(`The document has ${bytes} bytes; at most ${limitBytes} are allowed.`);
  }
}

/** Thrown for content with NUL or other control characters, which no text has. */
export class DocumentBinaryError extends DocumentError {
  readonly code = 'DOCUMENT_BINARY';

  constructor() {
    super('The document holds control characters, which no text has.');
  }
}

/** Thrown for bytes that are not valid UTF-8, nor in the encoding that a byte order mark or HTML announces. */
export class DocumentEncodingInvalidError extends DocumentError {
  readonly code = 'DOCUMENT_ENCODING_INVALID';

  constructor() {
    super(
      'The document is not valid UTF-8, nor in the encoding that its byte order mark or markup announces.',
    );
  }
}

/** Thrown for quotes or lists nested further than a reader, or a parser, can follow. */
export class DocumentTooDeepError extends DocumentError {
  readonly code = 'DOCUMENT_TOO_DEEP';

  constructor(readonly limit: number) {
    super(`The document nests quotes, lists or elements too deeply; ${limit} levels are allowed.`);
  }
}

/** Thrown for a format other than those that can be read. */
export class DocumentFormatInvalidError extends DocumentError {
  readonly code = 'DOCUMENT_FORMAT_INVALID';

  constructor() {
    super('The document\'s format must be "markdown", "text", "html" or "pdf".');
  }
}

/** Thrown for content that is not what its format says. */
export class DocumentFormatMismatchError extends DocumentError {
  readonly code = 'DOCUMENT_FORMAT_MISMATCH';

  constructor(
    readonly format: string,
    /** What the content looks like, where that is known. */
    readonly found?: string,
  ) {
    super(`The content is not of the format "${format}"${found ? `: it looks like ${found}` : ''}.`);
  }
}

/** Thrown for a file whose bytes are damaged. */
export class DocumentCorruptError extends DocumentError {
  readonly code = 'DOCUMENT_CORRUPT';

  constructor(readonly format: string) {
    super(`The document cannot be read as ${format}: it is damaged or incomplete.`);
  }
}

/** Thrown for a PDF that opens with a password only. */
export class DocumentEncryptedError extends DocumentError {
  readonly code = 'DOCUMENT_ENCRYPTED';

  constructor() {
    super('The document is protected by a password.');
  }
}

/** Thrown for a PDF without text on any page: scanned, or empty. */
export class DocumentWithoutTextError extends DocumentError {
  readonly code = 'DOCUMENT_WITHOUT_TEXT';

  constructor() {
    super('No page of the document holds text: scanned pages need text recognition first.');
  }
}

/** Thrown for a file that takes more time or memory to read than any document should. */
export class DocumentTooComplexError extends DocumentError {
  readonly code = 'DOCUMENT_TOO_COMPLEX';

  constructor(
    readonly limitMs: number,
    readonly limitBytes: number,
  ) {
    super(
      `The document could not be read within ${limitMs / 1000} s and ${Math.round(limitBytes / 1024 ** 2)} MiB.`,
    );
  }
}

/** Thrown when the process that reads files died of itself; trying again may help. */
export class DocumentReaderFailedError extends GraphragError {
  readonly code = 'DOCUMENT_READER_FAILED';

  constructor(options?: { cause?: unknown }) {
    super('The process that reads documents ended unexpectedly.', options);
  }
}

/** Thrown for an upload beyond what a tenant may keep. */
export class DocumentQuotaExceededError extends GraphragError {
  readonly code = 'DOCUMENT_QUOTA_EXCEEDED';

  constructor(
    readonly unit: 'documents' | 'bytes',
    readonly limit: number,
  ) {
    super(
      `The tenant may keep at most ${limit} ${unit === 'bytes' ? 'bytes of documents' : unit}; delete some first.`,
    );
  }
}

/** Thrown for a title that is blank, too long or holds control characters. */
export class DocumentTitleInvalidError extends DocumentError {
  readonly code = 'DOCUMENT_TITLE_INVALID';

  constructor() {
    super("A document's title has 1 to 300 characters, none of them control characters.");
  }
}

/** Recorded on the job of a document that was deleted before it was ready. */
export class DocumentDeletedError extends DocumentError {
  readonly code = 'DOCUMENT_DELETED';

  constructor() {
    super('The document was deleted before it was ready.');
  }
}

/** Thrown when a tenant has no document of that id. */
export class DocumentNotFoundError extends GraphragError {
  readonly code = 'DOCUMENT_NOT_FOUND';

  constructor() {
    super('There is no such document.');
  }
}

/** Thrown when a tenant has no job of that id. */
export class JobNotFoundError extends GraphragError {
  readonly code = 'JOB_NOT_FOUND';

  constructor() {
    super('There is no such job.');
  }
}

/** Thrown when a tenant is not registered. */
export class TenantUnknownError extends GraphragError {
  readonly code = 'TENANT_UNKNOWN';

  constructor() {
    super('The tenant is not registered.');
  }
}

/** Thrown when the graph has no such node. */
export class NodeNotFoundError extends GraphragError {
  readonly code = 'NODE_NOT_FOUND';

  constructor(
    readonly asked: string,
    /** Names in the graph that come nearest, best first. */
    readonly nearest: readonly string[] = [],
  ) {
    super(
      nearest.length > 0
        ? `The graph has no "${shown(asked)}". Nearest: ${nearest.join(', ')}.`
        : `The graph has no "${shown(asked)}".`,
    );
  }
}

/** Thrown when a tenant's log has no decision of that id. */
export class ResolutionNotFoundError extends GraphragError {
  readonly code = 'RESOLUTION_NOT_FOUND';

  constructor() {
    super('There is no such decision.');
  }
}

/** Thrown for a merge, split or undo that the graph does not allow. */
export class ResolutionRefusedError extends GraphragError {
  readonly code = 'RESOLUTION_REFUSED';
}

/** Thrown for a question or query text that is blank or too long. */
export class QueryInvalidError extends GraphragError {
  readonly code = 'QUERY_INVALID';

  constructor(readonly limit: number) {
    super(`A question has 1 to ${limit} characters, not all of them blank.`);
  }
}

/** Thrown when a graph is asked to be held in memory that is over the bound of one tenant's. */
export class SnapshotTooLargeError extends GraphragError {
  readonly code = 'SNAPSHOT_TOO_LARGE';

  constructor(
    readonly estimatedBytes: number,
    readonly limit: number,
  ) {
    super(`The tenant's graph would take about ${estimatedBytes} bytes in memory; ${limit} are allowed.`);
  }
}

/** Thrown for a number outside of what an operation allows. */
export class ArgumentInvalidError extends GraphragError {
  readonly code = 'ARGUMENT_INVALID';
}

/** Thrown for a study record that cannot be stored. Lists every problem at once. */
export class StudyRecordInvalidError extends GraphragError {
  readonly code = 'STUDY_RECORD_INVALID';

  constructor(readonly problems: readonly string[]) {
    super(`The study record is invalid: ${problems.join('; ')}.`);
  }
}

/** Thrown for a course file with mistakes. Lists every one of them, by path. */
export class CourseInvalidError extends GraphragError {
  readonly code = 'COURSE_INVALID';

  constructor(readonly problems: readonly string[]) {
    super(`The course is invalid:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
  }
}

/** Thrown for wrong options. Lists every wrong path and never a value. */
export class GraphragOptionsInvalidError extends GraphragError {
  readonly code = 'GRAPHRAG_OPTIONS_INVALID';

  constructor(readonly problems: readonly string[]) {
    super(`The graphrag options are invalid: ${problems.join('; ')}.`);
  }
}

function shown(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
