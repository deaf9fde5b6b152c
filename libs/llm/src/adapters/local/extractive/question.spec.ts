import { describe, expect, it } from 'vitest';
import { analyseQuestion, definesSubject } from './question.js';

describe('what a question asks for', () => {
  it.each([
    ['What is gradient descent?', 'definition', ['gradient descent']],
    ['Please explain backpropagation', 'definition', ['backpropagation']],
    ['Can you explain the softmax function?', 'definition', ['softmax function']],
    ['What is the purpose of the softmax function?', 'definition', ['softmax function']],
    ['梯度下降的定义是什么？', 'definition', ['梯度下降']],
    ['Who is Marta Kessler?', 'definition', ['marta kessler']],
    ['什么是梯度下降？', 'definition', ['梯度下降']],
    ['请解释一下反向传播', 'definition', ['反向传播']],
    ['李白是谁？', 'definition', ['李白']],
    ['What is the difference between precision and recall?', 'difference', ['precision', 'recall']],
    [
      'How do random forests differ from gradient boosting?',
      'difference',
      ['random forests', 'gradient boosting'],
    ],
    ['随机森林和决策树有什么区别？', 'difference', ['随机森林', '决策树']],
    [
      'How does supervised learning relate to deep learning?',
      'relation',
      ['supervised learning', 'deep learning'],
    ],
    ['监督学习和深度学习是什么关系？', 'relation', ['监督学习', '深度学习']],
    ['What does backpropagation require?', 'requirement', ['backpropagation']],
    ['What should I learn before transformers?', 'requirement', ['transformers']],
    ['学习反向传播需要什么？', 'requirement', ['反向传播']],
    ['Why does overfitting happen?', 'why', ['overfitting']],
    ['为什么会出现过拟合？', 'why', ['过拟合']],
    ['Please tell me who founded Port Ellery', 'who', []],
    ['请问《静夜思》是谁写的？', 'who', []],
    ['Who is the founder of Port Ellery?', 'who', []],
    ['What is my name?', 'who', []],
  ] as const)('%s is a %s of %j', (text, type, subjects) => {
    expect(analyseQuestion(text)).toMatchObject({ type, subjects, negated: false });
  });

  it.each([
    'What is not gradient descent?',
    "What isn't gradient descent?",
    'Please tell me what is not gradient descent',
    '什么不是梯度下降？',
    '哪些不是监督学习？',
  ])('%s is negated', (text) => {
    expect(analyseQuestion(text).negated).toBe(true);
  });

  it.each(['Why does gradient descent not converge?', '为什么梯度下降不收敛？'])('%s is not', (text) => {
    expect(analyseQuestion(text).negated).toBe(false);
  });
});

describe('a definition', () => {
  it.each([
    ['gradient descent', 'Gradient descent (梯度下降) is an iterative optimisation algorithm.'],
    ['梯度下降', 'Gradient descent (梯度下降) is an iterative optimisation algorithm.'],
    ['random forests', 'A random forest (随机森林) is an ensemble learning method.'],
    ['监督学习', '监督学习是机器学习的一种方法。'],
    ['静夜思', '《静夜思》是李白写的一首诗。'],
  ])('of %s is %s', (subject, sentence) => {
    expect(definesSubject(subject, sentence)).toBe(true);
  });

  it.each([
    ['gradient descent', 'Stochastic gradient descent is a variant of gradient descent.'],
    [
      'gradient descent',
      'Gradient descent is a prerequisite of Gradient boosting: It performs gradient descent.',
    ],
    ['gradient descent', 'Gradient descent is used in deep learning.'],
    ['gradient descent', 'Gradient descent requires calculus.'],
    ['梯度下降', '梯度下降是反向传播的前提。'],
  ])('of %s is not %s', (subject, sentence) => {
    expect(definesSubject(subject, sentence)).toBe(false);
  });
});
