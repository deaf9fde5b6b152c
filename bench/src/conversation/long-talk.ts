import type { Random } from '@sparkle/contracts';

const SUBJECTS = [
  'entropy',
  'photosynthesis',
  'matrices',
  'the French Revolution',
  'volcanoes',
  'recursion',
  'inflation',
  'tides',
  'vaccines',
  'black holes',
  'sonnets',
  'glaciers',
  'probability',
  'enzymes',
  'magnetism',
  'democracy',
];
const FACTS = [
  (n: number) => `My study group ${n} meets in room ${100 + (n % 300)}.`,
  (n: number) => `I read chapter ${n} of the course book yesterday.`,
  (n: number) => `The deadline of assignment ${n} is ${1 + (n % 28)} May.`,
  (n: number) => `Let's look at exercise ${n} together some time.`,
];
const ASKED = [
  'What should I know about',
  'How would you explain',
  'Why do people care about',
  'What confuses students about',
];

/** One user's questions of a long talk: each states something and asks about one of a few subjects, old ones again. */
export function* longTalk(random: Random): Generator<string> {
  for (let turn = 1; ; turn += 1) {
    const subject = SUBJECTS[Math.floor(random.next() * SUBJECTS.length)]!;
    const fact = FACTS[turn % FACTS.length]!(turn);
    const asked = ASKED[Math.floor(random.next() * ASKED.length)]!;
    const looksBack = turn % 5 === 0 && turn > 10;
    yield looksBack
      ? `${fact} What did I tell you about chapter ${1 + Math.floor(random.next() * turn)} and ${subject}?`
      : `${fact} ${asked} ${subject}?`;
  }
}
