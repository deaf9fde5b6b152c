import { describe, expect, it } from 'vitest';
import { parsePath, verbalisePath } from './relation-path.js';

const say = (path: string, language: 'en' | 'zh' = 'en') => verbalisePath(parsePath(path), language);

describe('putting a path into words', () => {
  it.each([
    [
      'Linear algebra —prerequisite_of→ Principal component analysis',
      'Linear algebra is a prerequisite of principal component analysis.',
    ],
    [
      'BERT —uses→ Attention ←part_of— Query vectors',
      'BERT relates to query vectors through: BERT uses Attention, and query vectors is part of Attention.',
    ],
    [
      'Alan Turing —born_in→ London —located_in→ England',
      'Alan Turing relates to England through: Alan Turing was born in London, which is located in England.',
    ],
    ['Inception —directed_by→ Christopher Nolan', 'Inception was directed by Christopher Nolan.'],
    ['Ann --[sister_of]-> Bob', 'Ann is the sister of Bob.'],
  ])('%s', (path, words) => {
    expect(say(path)).toBe(words);
  });

  it('in Chinese', () => {
    expect(say('线性代数 —prerequisite_of→ 主成分分析', 'zh')).toBe('线性代数是主成分分析的先修内容。');
    expect(say('甲 —part_of→ 乙 —invented_by→ 丙', 'zh')).toBe(
      '甲与丙的联系是：甲是乙的一部分，乙与丙的关系是“invented by”。',
    );
  });

  it('in Chinese, with relations that are Chinese already', () => {
    expect(say('线性代数 —[先修于]→ 主成分分析 ←[属于]— 特征值', 'zh')).toBe(
      '线性代数与特征值的联系是：线性代数先修于主成分分析，特征值属于主成分分析。',
    );
  });

  it('reads the chain only, not the statements below it', () => {
    expect(parsePath('A —[is_a]→ B\nA is a B.')).toEqual([{ from: 'A', type: 'is_a', to: 'B', next: 'B' }]);
  });

  it.each(['no arrows here', '—is_a→ B', 'A —is_a→ ', ''])('knows %j for no path', (text) => {
    expect(parsePath(text)).toEqual([]);
  });
});
