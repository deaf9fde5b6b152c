import { describe, expect, it } from 'vitest';
import { REWORDINGS, rewordQuestion } from './reword-question.js';

describe('a reworded question', () => {
  const question = 'Who founded the Port Ellery Works in 1702?';

  it('is polite, careless or a telegram', () => {
    expect(REWORDINGS.map((rewording) => rewordQuestion(question, rewording))).toEqual([
      'Could you please tell me the following: Who founded the Port Ellery Works in 1702?',
      'who founded the port ellery works in 1702',
      'founded port ellery works 1702',
    ]);
  });

  it('is Chinese when the question is', () => {
    expect(rewordQuestion('反向传播的基础是什么？', 'polite')).toBe('请问一下，反向传播的基础是什么？');
    expect(rewordQuestion('反向传播的基础是什么？', 'telegram')).toBe('反向传播基础是什么');
  });

  it('is never empty', () => {
    expect(rewordQuestion('Who are you?', 'telegram')).toBe('who are you');
  });
});
