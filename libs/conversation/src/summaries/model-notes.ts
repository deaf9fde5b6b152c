import type { TenantId } from '@sparkle/contracts';
import { type ChatModel, parseStructuredOutput } from '@sparkle/llm';
import { z } from 'zod';
import { clip } from '../text.js';
import { currentNotes, extractNotes, mergeNotes, type Note, type NotedMessage } from './notes.js';
import { notesInstructions } from './prompts/notes.v1.js';

const MAX_NOTE_CHARS = 240;
const MAX_FACTS = 100;

const answer = z.object({
  notes: z
    .array(
      z.object({
        message: z.int(),
        kind: z.enum(['name', 'number', 'decision', 'preference', 'fact']),
        text: z.string().min(1),
      }),
    )
    .max(MAX_FACTS),
  replaced: z.array(z.object({ fact: z.int(), by: z.int() })).max(MAX_FACTS),
});

export interface NotesRequest {
  readonly tenantId: TenantId;
  readonly previous: readonly Note[];
  readonly messages: readonly NotedMessage[];
  /** As in `mergeNotes`. */
  readonly max: number;
  readonly signal?: AbortSignal;
}

/** Notes by rules alone. */
export function notesByRules({ previous, messages, max }: NotesRequest): readonly Note[] {
  return mergeNotes([previous, extractNotes(messages)], max);
}

/**
 * Notes by rules and by the model: it adds what rules overlook, and says what is contradicted. Of its answer counts
 * only what can be checked: text that stands in the message it names, and replacements of known facts by a later
 * message. Notes by rules alone when the call fails or its answer has another form. Rejects only when `signal` aborts.
 */
export async function notesByModel(model: ChatModel, request: NotesRequest): Promise<readonly Note[]> {
  const { tenantId, previous, messages, max, signal } = request;
  const facts = currentNotes(previous).filter(({ kind }) => kind !== 'question');
  try {
    const { text } = await model.generate({
      tenantId,
      messages: [
        { role: 'system', content: notesInstructions },
        { role: 'user', content: `Known facts:\n${listed(facts)}\n\nMessages:\n${transcript(messages)}` },
      ],
      maxOutputTokens: 1_000,
      ...(signal && { signal }),
    });
    const { notes, replaced } = parseStructuredOutput(text, answer, model.id);
    const said = new Map(messages.map((message) => [message.seq, message]));
    const byRules = extractNotes(messages);
    const added = notes.flatMap(({ message, kind, text: quote }): Note[] => {
      const note = { kind, text: clip(quote.trim(), MAX_NOTE_CHARS), seq: message };
      const source = said.get(message);
      if (source?.role !== 'user' || note.text === '' || !source.content.includes(quote.trim())) return [];
      return byRules.some(({ seq, text: known }) => seq === message && overlaps(known, note.text))
        ? []
        : [note];
    });
    const outdated = new Map(
      replaced.flatMap(({ fact, by }) => {
        const note = facts[fact - 1];
        return note && said.get(by)?.role === 'user' && by > note.seq ? [[note, by] as const] : [];
      }),
    );
    const known = previous.map((note) => {
      const by = outdated.get(note);
      return by === undefined ? note : { ...note, supersededBy: by };
    });
    return mergeNotes([known, byRules, added], max);
  } catch {
    signal?.throwIfAborted();
    return notesByRules(request);
  }
}

function overlaps(one: string, other: string): boolean {
  return one.includes(other) || other.includes(one);
}

function listed(facts: readonly Note[]): string {
  return facts.map(({ text }, index) => `${index + 1}. ${text}`).join('\n') || '(none)';
}

function transcript(messages: readonly NotedMessage[]): string {
  return messages
    .filter(({ role }) => role === 'user')
    .map(({ seq, content }) => `[${seq}] ${content}`)
    .join('\n');
}
