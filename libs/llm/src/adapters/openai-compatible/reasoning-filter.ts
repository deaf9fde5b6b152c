const OPEN = '<think>';
const CLOSE = '</think>';

/**
 * Keeps what a model thought out of what it answers. Endpoints that separate the two send the thoughts in fields
 * of their own; some servers leave them at the beginning of the text, between `<think>` and `</think>`.
 */
export class ReasoningFilter {
  private state: 'start' | 'thinking' | 'text' = 'start';
  private held = '';

  /** What of `delta`, and of what was held back before it, belongs to the answer. */
  push(delta: string): string {
    if (this.state === 'text') return delta;
    this.held += delta;
    if (this.state === 'start') {
      const beginning = this.held.trimStart();
      if (OPEN.startsWith(beginning.slice(0, OPEN.length)) && beginning.length < OPEN.length) return '';
      if (!beginning.startsWith(OPEN)) return this.release(this.held);
      this.state = 'thinking';
      this.held = beginning.slice(OPEN.length);
    }
    const end = this.held.indexOf(CLOSE);
    if (end >= 0) {
      const answer = this.held.slice(end + CLOSE.length).trimStart();
      // White space between thoughts and answer may come in a later delta.
      if (answer === '') {
        this.held = CLOSE;
        return '';
      }
      return this.release(answer);
    }
    // Only a beginning of the closing tag has to be kept.
    this.held = this.held.slice(-(CLOSE.length - 1));
    return '';
  }

  /** What was held back when the text ended; thoughts that never closed are not an answer. */
  end(): string {
    return this.state === 'start' ? this.release(this.held) : '';
  }

  private release(text: string): string {
    this.state = 'text';
    this.held = '';
    return text;
  }
}
