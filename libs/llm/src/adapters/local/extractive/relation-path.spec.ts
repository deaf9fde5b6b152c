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
      'BERT relates to query vectors through: BERT uses Attention, and query vectors are part of Attention.',
    ],
    [
      'Alan Turing —born_in→ London —located_in→ England',
      'Alan Turing relates to England through: Alan Turing was born in London, which is located in England.',
    ],
    ['Inception —directed_by→ Christopher Nolan', 'Inception was directed by Christopher Nolan.'],
    ['Ann --[sister_of]-> Bob', 'Ann is the sister of Bob.'],
    [
      'Precision and recall —is_a→ Evaluation metrics',
      'Precision and recall are a kind of evaluation metrics.',
    ],
    ['Decision trees —requires→ Linear algebra', 'Decision trees require linear algebra.'],
    ['Bayesian statistics —uses→ BERT', 'Bayesian statistics uses BERT.'],
    ['Gradient boosting —contrasts_with→ Random forest', 'Gradient boosting contrasts with random forest.'],
    ['Orion Refractor —built_by→ Steinmann Optics', 'Orion Refractor was built by Steinmann Optics.'],
    ['Alpha —research_station_in→ Netherlands', 'Alpha is a research station in Netherlands.'],
    ['Alpha —variant_of→ Beta', 'Alpha is a variant of Beta.'],
  ])('%s', (path, words) => {
    expect(say(path)).toBe(words);
  });

  it('writes single common nouns in lower case where the passages do', () => {
    const edges = parsePath('Probability —prerequisite_of→ Adam');
    expect(verbalisePath(edges, 'en', (word) => word === 'Probability')).toBe(
      'Probability is a prerequisite of Adam.',
    );
    expect(verbalisePath(parsePath('Adam —uses→ Probability'), 'en', (word) => word === 'Probability')).toBe(
      'Adam uses probability.',
    );
  });

  it('in Chinese', () => {
    expect(say('线性代数 —prerequisite_of→ 主成分分析', 'zh')).toBe('线性代数是主成分分析的先修内容。');
    expect(say('甲 —part_of→ 乙 —invented_by→ 丙', 'zh')).toBe(
      '甲与丙的联系是：甲是乙的一部分，乙与丙相关。',
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
