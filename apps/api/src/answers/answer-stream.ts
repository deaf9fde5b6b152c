import type { ServerEvent } from '../http/event-stream.js';
import type { AnswerView } from './answer-view.js';

/**
 * An answer as server-sent events: `delta` with pieces of text as they are written, then `answer` with the whole,
 * checked answer, whose text replaces what was shown. A cached answer is one `delta`.
 * @param ask makes the answer and hands each piece of its text to its argument.
 */
export async function* answerStream(
  ask: (onText: (text: string) => void) => Promise<AnswerView>,
): AsyncGenerator<ServerEvent> {
  let written = '';
  let over = false;
  let wake: () => void = () => {};
  const answer = ask((text) => {
    written += text;
    wake();
  }).finally(() => {
    over = true;
    wake();
  });
  // The failure is thrown below; until then nobody awaits it.
  answer.catch(() => {});
  let shown = 0;
  while (!over || shown < written.length) {
    if (shown === written.length) {
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (over) resolve();
      });
      continue;
    }
    const text = written.slice(shown);
    shown = written.length;
    yield { event: 'delta', data: { text } };
  }
  const view = await answer;
  if (shown === 0) yield { event: 'delta', data: { text: view.answer } };
  yield { event: 'answer', data: view };
}
