import { describe, expect, it } from 'vitest';
import { type RecallEvidence, rankRecall, type WordMatch } from './rank-recall.js';
import { searchWords, wordsLiteral } from './search-words.js';
import { namedTimes } from './time-expressions.js';

const NOW = Date.UTC(2026, 10, 25, 15);
const day = (text: string) => new Date(`${text}T00:00:00Z`);

describe('the times a question names', () => {
  it.each([
    ['What did we do on 3 May?', [{ kind: 'calendar', month: 5, day: 3 }]],
    ['What did we do on May 3rd?', [{ kind: 'calendar', month: 5, day: 3 }]],
    ['我在5月3号做了什么？', [{ kind: 'calendar', month: 5, day: 3 }]],
    ['What happened on 20260403?', [{ kind: 'range', from: day('2026-04-03'), to: day('2026-04-04') }]],
    ['What happened on May 3, 2025?', [{ kind: 'range', from: day('2025-05-03'), to: day('2025-05-04') }]],
    ['2025年5月3日呢？', [{ kind: 'range', from: day('2025-05-03'), to: day('2025-05-04') }]],
    ['Where did I go in June?', [{ kind: 'calendar', month: 6 }]],
    ['我六月去了哪里？', []],
    ['我6月去了哪里？', [{ kind: 'calendar', month: 6 }]],
    ['What did I say yesterday?', [{ kind: 'range', from: day('2026-11-24'), to: day('2026-11-25') }]],
    ['我昨天说了什么？', [{ kind: 'range', from: day('2026-11-24'), to: day('2026-11-25') }]],
    ['And the day before yesterday?', [{ kind: 'range', from: day('2026-11-23'), to: day('2026-11-24') }]],
    ['What did I read last week?', [{ kind: 'range', from: day('2026-11-16'), to: day('2026-11-23') }]],
    ['上个月呢？', [{ kind: 'range', from: day('2026-10-01'), to: day('2026-11-01') }]],
    ['What was it three days ago?', [{ kind: 'range', from: day('2026-11-22'), to: day('2026-11-23') }]],
    ['三天前呢？', [{ kind: 'range', from: day('2026-11-22'), to: day('2026-11-23') }]],
    ['May I ask about 40 March hares?', []],
    ['What is entropy?', []],
  ])('%s', (question, times) => {
    expect(namedTimes(question, NOW)).toEqual(times);
  });
});

describe('the words old messages are found by', () => {
  it('are stems, numbers and pairs of Chinese characters, each once, with joined words parted', () => {
    expect(searchWords('Running runs at 5, WolfgangSchulz ran ice-cream')).toEqual([
      'run',
      '5',
      'wolfgang',
      'schulz',
      'ran',
      'ic',
      'cream',
    ]);
    expect(searchWords('爵士乐')).toEqual(['爵士', '士乐']);
  });

  it('are quoted so that no word can change the query', () => {
    expect(wordsLiteral(["o'neil", 'a\\b'], ' | ')).toBe("'o''neil' | 'a\\\\b'");
  });
});

describe('the ranking of old messages', () => {
  const start = day('2026-05-01').getTime();
  const said = (seq: number, hits: readonly number[], dayOf = 0): WordMatch => ({
    seq,
    hits,
    length: 8,
    createdAt: new Date(start + dayOf * 86_400_000 + seq * 1_000),
  });
  const evidence = (given: Partial<RecallEvidence>): RecallEvidence => ({
    total: 1_000,
    worded: [],
    near: [],
    timed: [],
    ...given,
  });

  it('puts a message with all words before one with some, and a rare word before a common one', () => {
    const common = [10, 20, 30, 40].map((seq) => said(seq, [0]));
    expect(rankRecall(evidence({ worded: [...common, said(50, [1]), said(60, [0, 1])] }), 3)).toEqual([
      60, 50, 40,
    ]);
  });

  it('counts a word that stands beside a message, unless hours lie between', () => {
    const near = [said(10, [0]), said(12, [1]), said(30, [0])];
    expect(rankRecall(evidence({ worded: near }), 1)[0]).toBeLessThanOrEqual(12);
    const apart = rankRecall(evidence({ worded: [said(10, [0]), said(12, [1], 1)] }), 5);
    expect(apart.toSorted((a, b) => a - b)).toEqual([10, 12]);
  });

  it('names of neighbouring messages only the best', () => {
    expect(rankRecall(evidence({ worded: [said(10, [0, 1]), said(11, [0]), said(90, [1])] }), 5)).toEqual([
      10, 90,
    ]);
  });

  it('puts a message of the named day level with the best, and finds it without any word', () => {
    const timed = [{ seq: 70, createdAt: new Date(start), day: true }];
    const worded = [said(10, [0, 1]), said(20, [1])];
    expect(rankRecall(evidence({ worded, timed }), 2)).toEqual([70, 10]);
    expect(rankRecall(evidence({ timed }), 2)).toEqual([70]);
  });

  it('finds by meaning alone, too, and nothing without evidence', () => {
    const near = [{ seq: 5, createdAt: new Date(start), similarity: 0.8 }];
    expect(rankRecall(evidence({ near }), 4)).toEqual([5]);
    expect(rankRecall(evidence({}), 4)).toEqual([]);
  });
});
