import { parseTenantId } from '@sparkle/contracts';
import { describe, expect, it } from 'vitest';
import { ScriptedChatModel } from '../testing/index.js';
import { notesByModel, notesByRules } from './model-notes.js';
import type { Note } from './notes.js';

const previous: readonly Note[] = [
  { kind: 'decision', text: 'I want to become a vet.', seq: 1 },
  { kind: 'name', text: 'My dog is called Rex.', seq: 3 },
];
const request = {
  tenantId: parseTenantId('school'),
  previous,
  messages: [
    { seq: 21, role: 'user', content: 'Animals are not for me, law is the thing.' },
    { seq: 22, role: 'assistant', content: 'Law it is.' },
    { seq: 23, role: 'user', content: 'The exam is on 3 May.' },
  ],
  max: 40,
};

function answering(value: unknown) {
  return new ScriptedChatModel(() => (typeof value === 'string' ? value : JSON.stringify(value)));
}

describe('notes by a model', () => {
  it('add what rules overlook, and mark what the model finds contradicted', async () => {
    const model = answering({
      notes: [
        { message: 21, kind: 'preference', text: 'law is the thing' },
        { message: 23, kind: 'number', text: 'The exam is on 3 May.' },
      ],
      replaced: [{ fact: 1, by: 21 }],
    });
    expect(await notesByModel(model, request)).toEqual([
      { kind: 'decision', text: 'I want to become a vet.', seq: 1, supersededBy: 21 },
      { kind: 'name', text: 'My dog is called Rex.', seq: 3 },
      { kind: 'preference', text: 'law is the thing', seq: 21 },
      { kind: 'number', text: 'The exam is on 3 May.', seq: 23 },
    ]);
  });

  it('hold nothing that was not said by the user in the message it names, and replace no later or unknown fact', async () => {
    const model = answering({
      notes: [
        { message: 21, kind: 'name', text: 'My name is Mallory.' },
        { message: 22, kind: 'fact', text: 'Law it is.' },
        { message: 99, kind: 'fact', text: 'law' },
      ],
      replaced: [
        { fact: 1, by: 22 },
        { fact: 2, by: 99 },
        { fact: 7, by: 23 },
      ],
    });
    expect(await notesByModel(model, request)).toEqual(notesByRules(request));
  });

  it.each([
    'no JSON',
    '{"notes": "x"}',
    { notes: [{ message: 21, kind: 'secret', text: 'law' }], replaced: [] },
  ])('are those of the rules when the answer is %j', async (value) => {
    expect(await notesByModel(answering(value), request)).toEqual(notesByRules(request));
  });

  it('are those of the rules when the call fails, and none when it is cancelled', async () => {
    const failing = new ScriptedChatModel().script({ kind: 'error', error: new Error('down') });
    expect(await notesByModel(failing, request)).toEqual(notesByRules(request));
    const signal = AbortSignal.abort(new Error('shutting down'));
    await expect(notesByModel(new ScriptedChatModel(), { ...request, signal })).rejects.toThrow(
      'shutting down',
    );
  });
});
