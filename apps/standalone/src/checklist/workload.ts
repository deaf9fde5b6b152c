import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Random } from '@sparkle/contracts';

const PAGES = fileURLToPath(new URL('../../course/pages', import.meta.url));
/** How often the next question is asked, against the one before it in popularity (Zipf's law with exponent 1). */
const ZIPF_EXPONENT = 1;

/** A page of the sample course. */
export interface CoursePage {
  readonly title: string;
  readonly text: string;
}

/** One request of the load; `kind` says what to count it as. */
export interface WorkloadRequest {
  readonly kind: 'answer' | 'message' | 'entities' | 'progress';
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly json?: unknown;
}

/** The pages of the sample course, which the checklist uploads and asks about. */
export async function coursePages(): Promise<readonly CoursePage[]> {
  const names = (await readdir(PAGES)).filter((name) => name.endsWith('.md')).sort();
  return Promise.all(
    names.map(async (name) => {
      const text = await readFile(`${PAGES}/${name}`, 'utf8');
      return { title: /^# (.+)$/m.exec(text)?.[1] ?? name, text };
    }),
  );
}

/** Three questions about every section of the pages. */
export function questionsAbout(pages: readonly CoursePage[]): readonly string[] {
  const sections = pages.flatMap(({ text }) =>
    [...text.matchAll(/^#{1,3} (.+)$/gm)].map(([, name]) => name!),
  );
  return [...new Set(sections)].flatMap((section) => [
    `What is ${section}?`,
    `How does ${section} work?`,
    `What should be known before ${section}?`,
  ]);
}

/**
 * An endless mix of what learners do: seven in ten ask a question, most of them one of a few popular ones; the
 * others send a message to a conversation, look something up, or look at their progress. The same for one seed.
 */
export function* workload(
  questions: readonly string[],
  conversations: readonly string[],
  random: Random,
): Generator<WorkloadRequest, never> {
  let total = 0;
  const reach = questions.map((_, rank) => {
    total += 1 / (rank + 1) ** ZIPF_EXPONENT;
    return total;
  });
  const popular = () => {
    const drawn = random.next() * total;
    return questions[reach.findIndex((bound) => drawn <= bound)]!;
  };
  for (;;) {
    const dice = random.next();
    if (dice < 0.7)
      yield { kind: 'answer', method: 'POST', path: '/v1/answers', json: { question: popular() } };
    else if (dice < 0.8) {
      const conversation = conversations[Math.floor(random.next() * conversations.length)]!;
      const path = `/v1/conversations/${conversation}/messages`;
      yield { kind: 'message', method: 'POST', path, json: { content: popular() } };
    } else if (dice < 0.9) {
      const word = popular().split(' ').at(-1)!.replace('?', '');
      yield { kind: 'entities', method: 'GET', path: `/v1/graph/entities?q=${encodeURIComponent(word)}` };
    } else yield { kind: 'progress', method: 'GET', path: '/v1/progress?days=7' };
  }
}
