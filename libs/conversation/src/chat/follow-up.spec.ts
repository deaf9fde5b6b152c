import { describe, expect, it } from 'vitest';
import { isFollowUp, standaloneQuestion } from './follow-up.js';

describe('a follow-up', () => {
  it.each([
    'And how does it relate to enthalpy?',
    'What about Newton?',
    'Why?',
    'Who discovered it?',
    'Is that true?',
    'How does this work?',
    'When did he die?',
    'Tell me more',
    'Which of these is older?',
    'What is the latter used for?',
    '它呢？',
    '那牛顿呢？',
    '为什么？',
    '它和焓有什么关系？',
    '这个怎么用？',
    '前者的作用是什么？',
    '还有别的例子吗？',
  ])('is "%s"', (question) => {
    expect(isFollowUp(question)).toBe(true);
  });

  it.each([
    'What is entropy?',
    'Who discovered penicillin?',
    'Is it true that water boils at 100 degrees Celsius?',
    'Which theorem says that every integer has a prime factorisation?',
    'Who wrote the book that inspired Blade Runner?',
    'How does this theorem of Noether work?',
    'And so the French Revolution began when exactly, under Louis XVI?',
    '什么是熵？',
    '光合作用的产物是什么？',
    '其中一个定理由谁证明？',
  ])('is not "%s"', (question) => {
    expect(isFollowUp(question)).toBe(false);
  });
});

describe('completing it', () => {
  const previous = {
    query: 'What is entropy in thermodynamics?',
    linked: [
      { id: '1', name: 'Entropy' },
      { id: '2', name: 'Thermodynamics' },
    ],
  };

  it('adds the entities of the turn before, without those the question names', () => {
    expect(standaloneQuestion('How does it differ from thermodynamics?', previous)).toEqual({
      query: 'How does it differ from thermodynamics? (Entropy)',
      appended: ['Entropy'],
    });
  });

  it('adds the words of the question before when no entity was linked', () => {
    expect(standaloneQuestion('它呢？', { query: '什么是熵增原理？', linked: [] }).appended).toContain(
      '熵增',
    );
    expect(standaloneQuestion('Why?', { query: previous.query, linked: [] }).query).toBe(
      'Why? (entropy, thermodynamics)',
    );
  });

  it('leaves a question that stands alone, or has nothing before it, as it is', () => {
    const alone = 'What is osmosis?';
    expect(standaloneQuestion(alone, previous)).toEqual({ query: alone, appended: [] });
    expect(standaloneQuestion('Why?', undefined)).toEqual({ query: 'Why?', appended: [] });
    expect(standaloneQuestion('Why?', { query: 'Why?', linked: [] })).toEqual({
      query: 'Why?',
      appended: [],
    });
  });
});
