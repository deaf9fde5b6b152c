import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { COMPATIBLE, CONTRADICTED } from '../../test/data/contradictions.js';
import { currentNotes, extractNotes, mergeNotes, type Note, renderSummary } from './notes.js';

const MAX = 40;
const sentences = [...CONTRADICTED.slice(0, 12), ...CONTRADICTED.slice(-8), ...COMPATIBLE.slice(0, 8)].flat();
const content = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...sentences) },
  { weight: 1, arbitrary: fc.constantFrom('What is entropy?', 'Who was Ada?', 'Hello there.', '你好。') },
  { weight: 1, arbitrary: fc.string({ maxLength: 30 }) },
);
const answer = fc.constantFrom('I do not know.', 'Disorder.');
/** A talk short enough that no kind of note overflows. */
const talk = fc.array(fc.tuple(content, answer), { maxLength: 14 }).map((turns) =>
  turns.flatMap(([question, reply], index) => [
    { seq: 2 * index + 1, role: 'user', content: question },
    { seq: 2 * index + 2, role: 'assistant', content: reply },
  ]),
);
const long = fc
  .array(fc.tuple(content, answer), { minLength: 60, maxLength: 120 })
  .map((turns) =>
    turns.map(([question], index) => ({ seq: index + 1, role: 'user', content: `${question} ${index}` })),
  );

/** The notes of each turn by itself. */
function pieces(messages: readonly { seq: number; role: string; content: string }[]): Note[][] {
  return Array.from({ length: messages.length / 2 }, (_, turn) => [
    ...extractNotes(messages.slice(2 * turn, 2 * turn + 2)),
  ]);
}

describe('notes', () => {
  it('are the same whatever the order and the grouping in which stretches are merged', () => {
    fc.assert(
      fc.property(talk, fc.infiniteStream(fc.nat(1_000)), (messages, choices) => {
        const atOnce = mergeNotes([extractNotes(messages)], MAX);
        const sets: (readonly Note[])[] = pieces(messages);
        while (sets.length > 1) {
          const [first] = sets.splice(choices.next().value! % sets.length, 1);
          const [second] = sets.splice(choices.next().value! % sets.length, 1);
          sets.push(mergeNotes([first!, second!], MAX));
        }
        expect(mergeNotes(sets, MAX)).toEqual(atOnce);
      }),
    );
  });

  it('do not change when a stretch is processed again after a crash', () => {
    fc.assert(
      fc.property(talk, fc.nat(), fc.nat(), (messages, from, to) => {
        const all = mergeNotes([extractNotes(messages)], MAX);
        const parts = pieces(messages);
        const [start, end] = [from % (parts.length + 1), to % (parts.length + 1)];
        const again = parts.slice(Math.min(start, end), Math.max(start, end));
        expect(mergeNotes([all, ...again], MAX)).toEqual(all);
      }),
    );
  });

  it('stay bounded however long the talk, keeping the newest of each kind', () => {
    fc.assert(
      fc.property(long, fc.integer({ min: 4, max: 40 }), (messages, max) => {
        let notes: readonly Note[] = [];
        for (let at = 0; at < messages.length; at += 20)
          notes = mergeNotes([notes, extractNotes(messages.slice(at, at + 20))], max);
        expect(notes.length).toBeLessThanOrEqual(6 * 2 * Math.ceil(max / 2));
        expect(currentNotes(notes, max).length).toBeLessThanOrEqual(max);
        const newest = extractNotes(messages.slice(-20)).at(-1);
        if (newest) expect(notes.map(({ text }) => text)).toContain(newest.text);
      }),
      { numRuns: 30 },
    );
  });

  it('hold only what was said in the messages they were made of', () => {
    fc.assert(
      fc.property(talk, (messages) => {
        for (const { text, seq } of mergeNotes([extractNotes(messages)], MAX)) {
          const source = messages.find((message) => message.seq === seq);
          expect(source?.content).toContain(text.replace(/…$/, ''));
        }
      }),
    );
  });

  it('that were replaced are shown neither as notes nor in prose that copied them', () => {
    const messages = [
      { seq: 1, role: 'user', content: 'My exam is on 3 May.' },
      { seq: 3, role: 'user', content: 'I live in Berlin.' },
      { seq: 5, role: 'user', content: 'The exam was moved to 10 May.' },
    ];
    const notes = mergeNotes([extractNotes(messages)], MAX);
    expect(notes).toContainEqual({ kind: 'number', text: 'My exam is on 3 May.', seq: 1, supersededBy: 5 });
    const shown = renderSummary('User: My exam is on 3 May. User: I live in Berlin.', notes);
    expect(shown).toBe('User: I live in Berlin.\nUser: The exam was moved to 10 May.');
  });

  it('of an open question end when it is asked again and answered, and begin anew when it is not', () => {
    const ask = (seq: number, reply: string) =>
      extractNotes([
        { seq, role: 'user', content: 'Who was Ada?' },
        { seq: seq + 1, role: 'assistant', content: reply },
      ]);
    const open = ask(1, 'I do not know.');
    const closed = mergeNotes([open, ask(11, 'A mathematician.')], MAX);
    expect(currentNotes(open)).toHaveLength(1);
    expect(currentNotes(closed)).toEqual([]);
    expect(currentNotes(mergeNotes([closed, ask(21, 'I do not know.')], MAX))).toMatchObject([{ seq: 21 }]);
  });
});
