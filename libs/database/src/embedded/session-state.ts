import { message, readCString } from './wire-protocol.js';

/** One statement at the start of a query that concerns the session, up to its semicolon; comments may precede it. */
const SESSION_STATEMENT =
  /^(?:\s|--[^\n]*(?:\n|$)|\/\*(?:[^*]|\*(?!\/))*\*\/)*((?:SET|RESET|DISCARD|LISTEN|UNLISTEN)\s(?:[^';]|'(?:[^']|'')*')*)(?:;|$)/i;
const SET =
  /^SET\s+(?:SESSION\s+)?(?!LOCAL\b|TRANSACTION\b|CONSTRAINTS\b|CHARACTERISTICS\b)("[^"]+"|[\w.]+(?:\s+ZONE)?)/i;
const RESET = /^(?:RESET\s+("[^"]+"|[\w.]+)|DISCARD\s+ALL)/i;
const LISTEN = /^(UN)?LISTEN\s+(?:"((?:[^"]|"")+)"|([a-z_][\w$]*)|(\*))/i;
const LEAVES_OBJECTS = /\b(TEMP|TEMPORARY|HOLD|pg_advisory_lock|pg_try_advisory_lock)\b/i;

/**
 * What one client of a shared session believes its session to be: settings, channels listened on, prepared
 * statements. Kept here so that the session can be made the client's again after others have used it.
 *
 * Settings are followed by their `SET` and `RESET` statements. A setting made in another way, such as
 * `set_config(…, false)`, never reaches another client either, but is gone once another one had a turn.
 */
export class SessionState {
  readonly channels = new Set<string>();
  /** Names given to the server for this client's prepared statements. */
  readonly statements = new Set<string>();
  /** The client's last Parse of the unnamed statement. */
  unnamedStatement: Buffer | undefined;
  /** The client made something that resetting settings does not remove. */
  leavesObjects = false;
  /** An UNLISTEN was sent, which on the server concerns every client. */
  unlistened = false;
  private readonly settings: Map<string, string>;
  private pending: ((settings: Map<string, string>) => void)[] = [];

  constructor(
    private readonly id: number,
    startup: ReadonlyMap<string, string>,
  ) {
    this.settings = new Map(startup);
  }

  /** Statements that set up this client's session, one query. */
  get setup(): string {
    return [...this.settings.values()].join(';');
  }

  /** Notes what `text` will do to the session. */
  observe(text: string): void {
    if (LEAVES_OBJECTS.test(text)) this.leavesObjects = true;
    for (let rest = text, match = SESSION_STATEMENT.exec(rest); match; match = SESSION_STATEMENT.exec(rest)) {
      this.observeStatement(match[1]!.trim());
      rest = rest.slice(match[0].length);
    }
  }

  private observeStatement(statement: string): void {
    const listen = LISTEN.exec(statement);
    if (listen) {
      const [, un, quoted, plain, all] = listen;
      const channel = quoted?.replaceAll('""', '"') ?? plain?.toLowerCase() ?? '';
      if (un) this.unlistened = true;
      if (all) this.channels.clear();
      else if (un) this.channels.delete(channel);
      else this.channels.add(channel);
      return;
    }
    const set = SET.exec(statement);
    if (set) {
      const name = settingName(set[1]!);
      this.pending.push((settings) => {
        settings.delete(name);
        settings.set(name, statement);
      });
      return;
    }
    const reset = RESET.exec(statement);
    if (!reset) return;
    const name = settingName(reset[1] ?? 'all');
    this.pending.push((settings) => {
      if (name === 'all') settings.clear();
      else settings.delete(name);
    });
  }

  /** The transaction the observed statements ran in has ended; a rolled back one takes its settings along. */
  settle(committed: boolean): void {
    if (committed) for (const change of this.pending) change(this.settings);
    this.pending = [];
  }

  /**
   * Gives a prepared statement of this client a name of its own on the server, in Parse, Bind, Describe and
   * Close. The unnamed statement stays unnamed.
   */
  rename(bytes: Buffer): Buffer {
    const type = String.fromCharCode(bytes[0]!);
    let at = 5;
    if (type === 'B') at = readCString(bytes, 5).next;
    else if (type === 'D' || type === 'C') {
      if (bytes[5] !== 0x53) return bytes;
      at = 6;
    }
    const { text, next } = readCString(bytes, at);
    if (text === '') return bytes;
    const name = `c${this.id}_${text}`;
    if (type === 'P') this.statements.add(name);
    if (type === 'C') this.statements.delete(name);
    return message(type, bytes.subarray(5, at), name, bytes.subarray(next));
  }
}

function settingName(name: string): string {
  return name.replaceAll('"', '').toLowerCase();
}
