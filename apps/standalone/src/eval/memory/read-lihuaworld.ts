import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { strFromU8, unzipSync } from 'fflate';
import { z } from 'zod';
import { UsageError } from '../../cli/command.js';
import type { TalkData, TalkMessage, TalkQuestion } from './talk.js';

const QUESTIONS = 'query_set.json';
/** The person whose year it is; in most chats one of the speakers. */
const PERSON = 'LiHua';

const questionSet = z.record(
  z.string(),
  z.object({ question: z.string(), evidence: z.string(), type: z.string() }),
);

/** True for a folder in the form of LiHua-World. */
export function isLiHuaWorld(folder: string): boolean {
  return readdirSync(folder).includes(QUESTIONS);
}

/**
 * LiHua-World: a year of one person's chats, a file each, as one talk in the order they happened, each message with
 * its speaker's name. Evidence is what the data names: chat files. Questions that name none are left out, since
 * nothing can be found for them.
 */
export function readLiHuaWorld(folder: string): TalkData {
  const archive = readdirSync(folder).find((name) => name.endsWith('.zip'));
  if (!archive) throw new UsageError(`${folder} has ${QUESTIONS} and no archive of chats (*.zip)`);
  const files = unzipSync(readFileSync(join(folder, archive)), {
    filter: ({ name }) => /\d{8}_\d{4}\.txt$/.test(name),
  });
  const chats = Object.entries(files)
    .map(([path, bytes]) => ({ unit: unitOf(path), lines: strFromU8(bytes).split(/\r?\n/) }))
    .sort((left, right) => (left.unit < right.unit ? -1 : 1));
  const messages = chats.flatMap(({ unit, lines }) => readChat(unit, lines));
  const known = new Set(messages.map(({ unit }) => unit));
  const all = Object.values(questionSet.parse(JSON.parse(readFileSync(join(folder, QUESTIONS), 'utf8'))));
  const questions = all.flatMap(({ question, evidence, type }): TalkQuestion[] => {
    const units = evidence
      .split(/<and>|<or>/)
      .map((name) => name.trim().replace(':', ''))
      .filter((name) => known.has(name));
    return units.length > 0 ? [{ question, evidence: [...new Set(units)], type }] : [];
  });
  return {
    talks: [{ name: PERSON, messages, questions }],
    notes: [
      `${chats.length} chats; evidence is the chat files that the data names; ${all.length - questions.length} of ` +
        `${all.length} questions name none that exists and are left out`,
    ],
  };
}

/** `…/20260924_2000.txt` is `20260924_2000`. */
function unitOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1, -'.txt'.length);
}

function readChat(unit: string, lines: readonly string[]): readonly TalkMessage[] {
  const [, year, month, day, hour, minute] = /^(\d{4})(\d{2})(\d{2})_(\d{2})(\d{2})$/.exec(unit)!.map(Number);
  const start = Date.UTC(year!, month! - 1, day, hour, minute);
  const spoken: { speaker: string; content: string }[] = [];
  for (const line of lines) {
    const [, speaker] = /^\s*([\p{L}\p{N}_]+)\s*[:：]/u.exec(line) ?? [];
    if (speaker === 'Time' || line.trim() === '') continue;
    if (speaker) spoken.push({ speaker, content: line.trim() });
    else if (spoken.length > 0) spoken.at(-1)!.content += `\n${line.trim()}`;
  }
  return spoken.map(({ speaker, content }, index) => ({
    role: speaker === PERSON ? 'user' : 'assistant',
    content,
    at: new Date(start + index * 1_000),
    unit,
  }));
}
