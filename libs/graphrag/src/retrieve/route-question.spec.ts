import { describe, expect, it } from 'vitest';
import { asksWholeCorpus, routeQuestion } from './route-question.js';

const known = { namedPlaces: 1, trust: 1, coverage: 0.5 };

describe('asksWholeCorpus', () => {
  it.each([
    'What are the main themes of these interviews?',
    'What topics come up across all documents?',
    'Summarise everything in the knowledge base.',
    'Which concerns are discussed throughout the entire collection?',
    '这些文档的主要主题是什么？',
    '总结一下所有资料。',
    '整个知识库的核心观点有哪些？',
  ])('is true of "%s"', (question) => {
    expect(asksWholeCorpus(question)).toBe(true);
  });

  it.each([
    'Who directed Free Guy?',
    'In which city was the director of Free Guy born?',
    'What is the capital of the country that Free Guy was made in?',
    '《梯度下降》需要先学什么？',
    '北京和上海哪个更大？',
  ])('is false of "%s"', (question) => {
    expect(asksWholeCorpus(question)).toBe(false);
  });
});

describe('routeQuestion', () => {
  it.each([
    ['Which film is older, Free Guy or Mr. Fix-It?', 2],
    ['Are Sutera and Rhodotypos both types of shrub?', 2],
    ['支持向量机和决策树有什么区别？', 2],
    ['北京和上海哪个更大？', 2],
  ])('sees a comparison in "%s"', (question, namedPlaces) => {
    expect(routeQuestion({ ...known, question, namedPlaces })).toBe('comparison');
  });

  it('needs two names for a comparison', () => {
    expect(routeQuestion({ ...known, question: 'Is Free Guy older or newer?' })).toBe('bridge');
  });

  it('takes for a fact what one passage covers, and what the graph says nothing about', () => {
    const question = 'When was Free Guy released?';
    expect(routeQuestion({ ...known, question, coverage: 0.95 })).toBe('fact');
    expect(routeQuestion({ ...known, question, trust: 0.1 })).toBe('fact');
    expect(routeQuestion({ ...known, question })).toBe('bridge');
  });

  it('asks about the whole corpus only where nothing in particular is named', () => {
    const question = 'What are the main ideas of the documents on Marta Kessler?';
    expect(routeQuestion({ ...known, question })).toBe('bridge');
    expect(routeQuestion({ ...known, question, namedPlaces: 0, trust: 0 })).toBe('corpus');
  });
});
