import { describe, expect, it } from 'vitest';
import { answerStream } from '../src/answers/answer-stream.js';
import type { AnswerView } from '../src/answers/answer-view.js';

const view = (answer: string) => ({ answer, cache: 'miss' }) as AnswerView;
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

async function all(stream: ReturnType<typeof answerStream>) {
  const events: { event: string; data: unknown }[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

describe('answerStream', () => {
  it('shows the text as it is written, then the whole answer', async () => {
    const stream = answerStream(async (onText) => {
      for (const text of ['Ada ', 'wrote ', 'it.']) {
        onText(text);
        await nextTurn();
      }
      return view('Ada wrote it. [1]');
    });
    expect(await all(stream)).toEqual([
      { event: 'delta', data: { text: 'Ada ' } },
      { event: 'delta', data: { text: 'wrote ' } },
      { event: 'delta', data: { text: 'it.' } },
      { event: 'answer', data: view('Ada wrote it. [1]') },
    ]);
  });

  it('shows a cached answer as one piece', async () => {
    expect(await all(answerStream(async () => view('From before.')))).toEqual([
      { event: 'delta', data: { text: 'From before.' } },
      { event: 'answer', data: view('From before.') },
    ]);
  });

  it('loses no text that was written while nobody read, nor what was written last', async () => {
    const written = Array.from({ length: 50 }, (_, index) => `${index} `);
    let finish = () => {};
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const stream = answerStream(async (onText) => {
      for (const text of written.slice(0, 25)) onText(text);
      await finished;
      for (const text of written.slice(25)) onText(text);
      return view('x');
    });
    const first = await stream.next();
    finish();
    await nextTurn();
    const rest = await all(stream);
    const deltas = [first.value!, ...rest].filter(({ event }) => event === 'delta');
    expect(deltas.map(({ data }) => (data as { text: string }).text).join('')).toBe(written.join(''));
    expect(deltas).toHaveLength(2);
  });

  it('throws the failure of an answer at once, or after the text that was written before it', async () => {
    await expect(answerStream(() => Promise.reject(new Error('refused'))).next()).rejects.toThrow('refused');
    const stream = answerStream(async (onText) => {
      onText('half');
      throw new Error('broken');
    });
    expect((await stream.next()).value).toEqual({ event: 'delta', data: { text: 'half' } });
    await expect(stream.next()).rejects.toThrow('broken');
  });

  it('leaves no unhandled failure behind when its reader leaves', async () => {
    let fail = (_: Error) => {};
    const stream = answerStream((onText) => {
      onText('a');
      return new Promise((_resolve, reject) => {
        fail = reject;
      });
    });
    await stream.next();
    await stream.return(undefined);
    fail(new Error('nobody listens'));
    await nextTurn();
  });
});
