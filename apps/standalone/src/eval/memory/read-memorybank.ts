import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { UsageError } from '../../cli/command.js';
import { LABELLED_DAYS } from './memorybank-evidence.js';
import type { Talk, TalkData, TalkMessage, TalkQuestion } from './talk.js';

const BANK = /memory_bank_(\w+)\.json$/;
const TURN_MS = 60_000;

const bank = z.record(
  z.string(),
  z.object({
    history: z.record(z.string(), z.array(z.object({ query: z.string(), response: z.string() }))),
  }),
);
const probes = z.record(z.string(), z.array(z.string()));

/** True for a folder in the form of MemoryBank's evaluation. */
export function isMemoryBank(folder: string): boolean {
  return readdirSync(folder).some((name) => BANK.test(name));
}

/**
 * MemoryBank: each user's days as one talk. The data holds questions without answers or evidence; the evidence of a
 * question is the day it is about: the one that was labelled by reading the dialogues, or else the one whose date
 * the question itself names. Questions with neither are left out.
 */
export function readMemoryBank(folder: string, language: string): TalkData {
  const files = readdirSync(folder);
  const name = files.find((file) => BANK.exec(file)?.[1] === language);
  const asked = files.find((file) => file.endsWith(`probing_questions_${language}.jsonl`));
  if (!name || !asked)
    throw new UsageError(`${folder} has no memory bank and probing questions in "${language}"`);
  const users = bank.parse(JSON.parse(readFileSync(join(folder, name), 'utf8')));
  const questions = new Map<string, readonly string[]>();
  for (const line of readFileSync(join(folder, asked), 'utf8').split('\n').filter(Boolean))
    for (const [user, list] of Object.entries(probes.parse(JSON.parse(line))))
      questions.set(user.trim(), list);

  const count = { asked: 0, labelled: 0, dated: 0 };
  const talks = Object.entries(users).map(([key, { history }], index): Talk => {
    const user = key.trim();
    const days = Object.keys(history);
    const messages = Object.entries(history).flatMap(([day, turns]) => readDay(day, turns));
    const found = (questions.get(user) ?? []).flatMap((question, at): TalkQuestion[] => {
      count.asked += 1;
      const labels = LABELLED_DAYS[index]?.[at]?.map((day) => days[day - 1]!);
      const evidence = (labels ?? days.filter((day) => namesDay(question, day))).filter(
        (day) => history[day]!.length > 0,
      );
      if (evidence.length === 0) return [];
      const dated = days.some((day) => namesDay(question, day));
      count.labelled += labels ? 1 : 0;
      count.dated += dated ? 1 : 0;
      return [{ question, evidence, type: dated ? 'dated' : 'undated' }];
    });
    return { name: user, messages, questions: found };
  });
  return {
    talks,
    notes: [
      `evidence is the day a question is about: labelled by reading the dialogues for ${count.labelled} of ` +
        `${count.asked} questions, named by the question itself for the others; ${count.dated} questions name a date`,
    ],
  };
}

/** The languages a folder has memory banks in. */
export function languagesOf(folder: string): readonly string[] {
  return readdirSync(folder)
    .flatMap((name) => BANK.exec(name)?.[1] ?? [])
    .sort();
}

function readDay(
  day: string,
  turns: readonly { readonly query: string; readonly response: string }[],
): readonly TalkMessage[] {
  const morning = Date.parse(`${day}T09:00:00Z`);
  return turns.flatMap(({ query, response }, index) => {
    const at = new Date(morning + index * TURN_MS);
    return [
      { role: 'user' as const, content: query.trim(), at, unit: day },
      { role: 'assistant' as const, content: response.trim(), at, unit: day },
    ].filter(({ content }) => content !== '');
  });
}

const MONTHS = 'January February March April May June July August September October November December'.split(
  ' ',
);

/** True for a question with the date of `day` (`YYYY-MM-DD`) in it. */
function namesDay(question: string, day: string): boolean {
  const [, month, date] = day.split('-').map(Number);
  return (
    new RegExp(`${MONTHS[month! - 1]} ${date}(?:st|nd|rd|th)?\\b`, 'i').test(question) ||
    new RegExp(`(?<!\\d)${month}月${date}(?!\\d)`).test(question)
  );
}
