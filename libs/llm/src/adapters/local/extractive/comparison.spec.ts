import { describe, expect, it } from 'vitest';
import type { ContextPassage } from '../../../ports/chat-model.port.js';
import { composeAnswer } from './compose-answer.js';

const passage = (id: string, title: string, text: string): ContextPassage => ({
  id,
  kind: 'chunk',
  title,
  text,
});

const PEOPLE = [
  passage('C1', 'Ada Quist', 'Ada Quist (born 8 October 1985) is a Norwegian painter. She lives in Oslo.'),
  passage('C2', 'Bo Lind', 'Bo Lind (11 July 1930 – 2 May 2001) was a Swedish painter and singer.'),
  passage('C3', 'Cy Moor', 'Cy Moor (3 June 1910 – 4 June 1950) was a Swedish composer.'),
];
const FILMS = [
  passage('C4', 'Red Rain (film)', 'Red Rain is a 1955 drama film directed by Bo Lind.'),
  passage('C5', 'Blue Sea', 'Blue Sea is a 1948 comedy film written and directed by Cy Moor.'),
];
const ALL = [...PEOPLE, ...FILMS];

const answer = (question: string, passages: readonly ContextPassage[] = ALL) =>
  composeAnswer(question, passages).join(' ');
const unknown = answer('Who is the king of nowhere?', []);

describe('which of the two', () => {
  it.each([
    ['Who was born first, Ada Quist or Bo Lind?', 'Bo Lind.'],
    ['Was Ada Quist or Bo Lind born first?', 'Bo Lind.'],
    ['Who is younger, Ada Quist or Bo Lind?', 'Ada Quist.'],
    ['Who was born first out of Ada Quist and Bo Lind?', 'Bo Lind.'],
    ['Who died later, Cy Moor or Bo Lind?', 'Bo Lind.'],
    ['Who lived longer, Bo Lind or Cy Moor?', 'Bo Lind.'],
    ['Which film came out first, Red Rain or Blue Sea?', 'Blue Sea.'],
    ['Which film was released more recently, Red Rain (film) or Blue Sea?', 'Red Rain (film).'],
    ['Which film has the director who died later, Red Rain or Blue Sea?', 'Red Rain.'],
    ['Which film whose director is younger, Blue Sea or Red Rain?', 'Red Rain.'],
    ['Which painter was also a singer, Ada Quist or Bo Lind?', 'Bo Lind.'],
  ])('%s %s', (question, conclusion) => {
    expect(answer(question).startsWith(`${conclusion} [`)).toBe(true);
  });

  it('says what the choice rests on, each sentence with its source', () => {
    expect(answer('Which film has the director who died later, Red Rain or Blue Sea?')).toBe(
      'Red Rain. [C4][C2][C5][C3] Red Rain is a 1955 drama film directed by Bo Lind. [C4] ' +
        'Bo Lind (11 July 1930 – 2 May 2001) was a Swedish painter and singer. [C2] ' +
        'Blue Sea is a 1948 comedy film written and directed by Cy Moor. [C5] ' +
        'Cy Moor (3 June 1910 – 4 June 1950) was a Swedish composer. [C3]',
    );
  });

  it.each([
    ['one of the two is not known', 'Who was born first, Ada Quist or Eve Rask?'],
    ['the date is not stated', 'Who died first, Ada Quist or Bo Lind?'],
    ['it is asked for what no passage counts', 'Which has more rooms, Red Rain or Blue Sea?'],
  ])('does not choose when %s', (_, question) => {
    expect(answer(question)).not.toMatch(/^(?:Ada Quist|Bo Lind|Eve Rask|Red Rain|Blue Sea)\. \[/);
  });

  it('does not choose between two that are alike', () => {
    const twins = [
      passage('C1', 'Ann Ek', 'Ann Ek (born 1 May 1950) is a singer.'),
      passage('C2', 'Uno Ek', 'Uno Ek (born 1 May 1950) is a singer.'),
    ];
    expect(answer('Who was born first, Ann Ek or Uno Ek?', twins)).not.toMatch(/^(?:Ann|Uno) Ek\. \[/);
  });

  it('compares heights and counts', () => {
    const things = [
      passage('C1', 'Mount Ode', 'Mount Ode is a mountain that is 6,120 metres high.'),
      passage('C2', 'Mount Rye', 'Mount Rye (5,900 m) is a mountain in the same range.'),
      passage('C3', 'Crowea', 'Crowea is a genus of three species of plants.'),
      passage('C4', 'Dracula', 'Dracula is a genus of 118 species of orchids.'),
    ];
    expect(answer('Which mountain is higher, Mount Ode or Mount Rye?', things)).toMatch(/^Mount Ode\. \[/);
    expect(answer('Which genus has more species, Crowea or Dracula?', things)).toMatch(/^Dracula\. \[/);
  });

  it('answers in Chinese', () => {
    const people = [
      passage('C1', '图灵', '图灵（1912年6月23日－1954年6月7日）是英国数学家。'),
      passage('C2', '香农', '香农（1916年4月30日－2001年2月24日）是美国数学家。'),
    ];
    expect(answer('图灵和香农谁出生更早？', people)).toMatch(/^图灵。 \[C1\]\[C2\]/);
    expect(answer('图灵和香农的国籍相同吗？', people)).toMatch(/^不是。 \[C1\]\[C2\]/);
    expect(answer('图灵和香农都是数学家吗？', people)).toMatch(/^是。 \[C1\]\[C2\]/);
  });
});

describe('whether both', () => {
  it.each([
    ['Are Bo Lind and Cy Moor of the same nationality?', 'Yes.'],
    ['Are Ada Quist and Bo Lind from the same country?', 'No.'],
    ['Were both Ada Quist and Bo Lind painters?', 'Yes.'],
    ['Are Bo Lind and Cy Moor both painters?', 'No.'],
    ['Are Ada Quist and Bo Lind both Swedish?', 'No.'],
    ['Do the director of film Red Rain and director of film Blue Sea share the same nationality?', 'Yes.'],
  ])('%s %s', (question, verdict) => {
    expect(answer(question).startsWith(`${verdict} [`)).toBe(true);
  });

  it.each([
    ['of whom one is not introduced', 'Are Ada Quist and Eve Rask both painters?'],
    ['in numbers', 'Did Ada Quist and Bo Lind both paint more than 15 pictures?'],
  ])('says neither yes nor no of people %s', (_, question) => {
    expect(answer(question)).not.toMatch(/^(?:Yes|No)\./);
  });

  it('does not know what no passage says', () => {
    expect(answer('Are Ada Quist and Bo Lind from the same country?', [])).toBe(unknown);
  });
});

describe('by way of somebody else', () => {
  const FAMILY = [
    ...ALL,
    passage('C6', 'Bo Lind', 'He was born in Lund. He died in Malmö. In 1960, he married Eva Holm.'),
    passage('C7', 'Ola Berg', 'Ola Berg was a baron. He was the son of Nils Berg and Karin Ek.'),
    passage('C8', 'Nils Berg', 'Nils Berg (c. 1801 – 9 May 1850) was a judge. He was born in Visby.'),
  ];

  it.each([
    ['Where was the director of Red Rain born?', 'He was born in Lund. [C6]'],
    ['What is the place of death of the director of film Red Rain (Film)?', 'He died in Malmö. [C6]'],
    ['Who is the spouse of the director of film Red Rain?', 'In 1960, he married Eva Holm. [C6]'],
    [
      'When was the director of Blue Sea born?',
      'Cy Moor (3 June 1910 – 4 June 1950) was a Swedish composer. [C3]',
    ],
    ["When did Ola Berg's father die?", 'Nils Berg (c. 1801 – 9 May 1850) was a judge. [C8]'],
    ['Where was the father of Ola Berg born?', 'He was born in Visby. [C8]'],
    ['Who is the father of Ola Berg?', 'He was the son of Nils Berg and Karin Ek. [C7]'],
  ])('%s', (question, last) => {
    expect(answer(question, FAMILY).endsWith(last)).toBe(true);
  });

  it('does not take somebody else for the one who is asked about', () => {
    expect(answer('Where was the director of Green Hill born?', FAMILY)).not.toContain('Lund');
  });
});
