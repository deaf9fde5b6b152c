import { describe, expect, it } from 'vitest';
import { UNSUPPORTED_ANSWER } from '../../../core/unsupported-answer.js';
import type { ContextPassage } from '../../../ports/chat-model.port.js';
import { composeAnswer } from './compose-answer.js';

const chunk = (id: string, title: string, text: string, score = 1): ContextPassage => ({
  id,
  kind: 'chunk',
  title,
  text,
  score,
});
const path = (id: string, text: string): ContextPassage => ({ id, kind: 'path', text, score: 1 });

const OPTIMISATION = [
  path(
    'P1',
    'Gradient descent —[prerequisite_of]→ Gradient boosting\nGradient descent is a prerequisite of Gradient boosting: It performs gradient descent in the space of functions.',
  ),
  chunk(
    'C1',
    'Optimisation › Gradient descent',
    '## Gradient descent\n\nGradient descent (梯度下降) is an iterative optimisation algorithm. The size of the step is the learning rate. Gradient descent requires calculus and a loss function.',
  ),
  chunk(
    'C2',
    'Optimisation › Stochastic gradient descent',
    '## Stochastic gradient descent\n\nStochastic gradient descent (随机梯度下降) is a variant of gradient descent with one example at a time.\nAlso called: SGD.',
    0.9,
  ),
  chunk(
    'C3',
    'Optimisation › Backpropagation',
    '## Backpropagation\n\nBackpropagation (反向传播) is an algorithm that computes gradients. Backpropagation requires the chain rule and a neural network. A recurrent neural network requires deep learning and backpropagation.',
    0.8,
  ),
  chunk(
    'C4',
    'Evaluation › Overfitting',
    'Overfitting (过拟合) is the situation in which a model fits noise. Regularisation requires overfitting, since it accepts some bias.',
    0.7,
  ),
];
const OBSERVATORY = [
  chunk(
    'C1',
    'Veldhoven Observatory',
    '# Veldhoven Observatory\n\nThe Veldhoven Observatory is a research station in the Netherlands. It was founded in 1931 by Marta Kessler.\nMarta Kessler was born in Graz. She studied physics under Ludwig Hartmann.\n\n## Instruments\n\nThe observatory operates the Orion Refractor. The Orion Refractor was built by Steinmann Optics in 1938.\nSteinmann Optics is based in Jena.',
  ),
  chunk(
    'C2',
    'Port Ellery',
    'Port Ellery is a harbour town. It was founded in 1702 by Captain Rosa Lind.',
    0.8,
  ),
  chunk('C3', '静夜思', '# 静夜思\n\n《静夜思》是李白写的一首诗。李白是唐代诗人，出生于碎叶城。', 0.8),
  chunk('C4', 'Analysis', 'Augustin-Louis Cauchy was born in Paris. He taught in Turin.', 0.8),
];
const MEMORY: readonly ContextPassage[] = [
  {
    id: 'M1',
    kind: 'message',
    text: 'User: My name is Alice Moreau and I am preparing for the Lyon exam.',
  },
];
const ENSEMBLES = [
  path('P1', '随机森林 —[不同于]→ 决策树'),
  path('P2', 'Gradient boosting —[contrasts_with]→ Random forest'),
  chunk('C1', 'Trees', 'A random forest (随机森林) is an ensemble method. Trees are averaged.'),
  chunk('C2', 'Trees', 'A decision tree (决策树) is a model that tests single features.'),
  chunk('C3', 'Trees', 'Gradient boosting (梯度提升) is an ensemble method that adds weak models.'),
  chunk(
    'C4',
    'Evaluation',
    'Precision and recall (精确率与召回率) are two metrics of a classifier.\nPrecision and recall is a Evaluation metrics: They are metrics.',
  ),
];

describe('an answer to a definition question', () => {
  it.each([
    [
      'What is gradient descent?',
      'Gradient descent (梯度下降) is an iterative optimisation algorithm. [C1] Gradient descent requires calculus and a loss function. [C1]',
    ],
    [
      'What is stochastic gradient descent?',
      'Stochastic gradient descent (随机梯度下降) is a variant of gradient descent with one example at a time. [C2]',
    ],
    [
      'What is SGD?',
      'Stochastic gradient descent (随机梯度下降) is a variant of gradient descent with one example at a time. [C2]',
    ],
    [
      'Explain backpropagation',
      'Backpropagation (反向传播) is an algorithm that computes gradients. [C3] Backpropagation requires the chain rule and a neural network. [C3]',
    ],
    [
      '什么是梯度下降？',
      'Gradient descent (梯度下降) is an iterative optimisation algorithm. [C1] Gradient descent requires calculus and a loss function. [C1]',
    ],
  ])('%s opens with the definition of exactly that, then only what is said of it', (question, answer) => {
    expect(composeAnswer(question, OPTIMISATION).join(' ')).toBe(answer);
  });

  it.each([
    ['What is not gradient descent?', UNSUPPORTED_ANSWER.en],
    ['什么不是梯度下降？', UNSUPPORTED_ANSWER.zh],
  ])('%s, which is negated, is that it does not know', (question, answer) => {
    expect(composeAnswer(question, OPTIMISATION)).toEqual([answer]);
  });
});

describe('an answer speaks of what is asked about', () => {
  it.each([
    [
      'What does backpropagation require?',
      ['Backpropagation requires the chain rule and a neural network. [C3]'],
    ],
    [
      'Why does overfitting happen?',
      ['Overfitting (过拟合) is the situation in which a model fits noise. [C4]'],
    ],
    ['为什么会出现过拟合？', ['Overfitting (过拟合) is the situation in which a model fits noise. [C4]']],
  ])('%s', (question, answer) => {
    expect(composeAnswer(question, OPTIMISATION)).toEqual(answer);
  });

  it('and takes prerequisites from the graph where no sentence lists them', () => {
    const context = [
      path('P1', '微积分 —[先修于]→ 反向传播'),
      path('P2', '反向传播 —[先修于]→ 循环神经网络'),
    ];
    expect(composeAnswer('学习反向传播需要什么？', context)).toEqual(['微积分先修于反向传播。 [P1]']);
  });
});

describe('an answer about a small document', () => {
  it.each([
    ['Who founded the Veldhoven Observatory?', /It was founded in 1931 by Marta Kessler\. \[C1\]$/u],
    [
      'Where was the founder of the Veldhoven Observatory born?',
      /It was founded in 1931 by Marta Kessler\. \[C1\] Marta Kessler was born in Graz\. \[C1\]$/u,
    ],
    [
      'Who built the Orion Refractor?',
      /^The Orion Refractor was built by Steinmann Optics in 1938\. \[C1\]$/u,
    ],
    [
      'In which city is the builder of the Orion Refractor based?',
      /^The Orion Refractor was built by Steinmann Optics in 1938\. \[C1\] Steinmann Optics is based in Jena\. \[C1\]$/u,
    ],
    [
      'When was the Orion Refractor built?',
      /^The Orion Refractor was built by Steinmann Optics in 1938\. \[C1\]$/u,
    ],
    [
      'Who founded Port Ellery?',
      /^Port Ellery is a harbour town\. \[C2\] It was founded in 1702 by Captain Rosa Lind\. \[C2\]$/u,
    ],
    ['Please tell me who founded Port Ellery', /It was founded in 1702 by Captain Rosa Lind\. \[C2\]$/u],
    ['Where was Augustin-Louis Cauchy born?', /^Augustin-Louis Cauchy was born in Paris\. \[C4\]$/u],
    ['Where was Cauchy born?', /^Augustin-Louis Cauchy was born in Paris\. \[C4\]$/u],
    ['《静夜思》是谁写的？', /^《静夜思》是李白写的一首诗。 \[C3\]$/u],
    ['李白出生在哪里？', /^李白是唐代诗人，出生于碎叶城。 \[C3\]$/u],
  ])('%s', (question, answer) => {
    expect(composeAnswer(question, OBSERVATORY).join(' ')).toMatch(answer);
  });

  it.each([
    'Who founded the Lisbon Observatory?',
    'Who demolished Port Ellery?',
    'Who built the Veldhoven Observatory?',
    'What is the boiling point of tungsten hexafluoride?',
  ])('%s is that it does not know', (question) => {
    expect(composeAnswer(question, OBSERVATORY)).toEqual([UNSUPPORTED_ANSWER.en]);
  });

  it('is never a heading alone', () => {
    for (const question of ['Who founded Port Ellery?', 'Who founded the Veldhoven Observatory?'])
      expect(composeAnswer(question, OBSERVATORY)[0]).toContain(' is a ');
  });

  it('remembers the name of the one who asks', () => {
    expect(composeAnswer('What is my name?', MEMORY)).toEqual([
      'My name is Alice Moreau and I am preparing for the Lyon exam. [M1]',
    ]);
  });
});

describe('an answer about two things', () => {
  it.each([
    [
      '随机森林和决策树有什么区别？',
      [
        '随机森林不同于决策树。 [P1]',
        'A random forest (随机森林) is an ensemble method. [C1]',
        'A decision tree (决策树) is a model that tests single features. [C2]',
      ],
    ],
    [
      'How do random forests differ from gradient boosting?',
      [
        'Gradient boosting contrasts with random forest. [P2]',
        'A random forest (随机森林) is an ensemble method. [C1]',
        'Gradient boosting (梯度提升) is an ensemble method that adds weak models. [C3]',
      ],
    ],
    [
      'What is the difference between precision and recall?',
      ['Precision and recall (精确率与召回率) are two metrics of a classifier. [C4]'],
    ],
  ])('%s', (question, answer) => {
    expect(composeAnswer(question, ENSEMBLES)).toEqual(answer);
  });

  it('says a direct relation alone, without a longer way round', () => {
    const context = [
      path('P1', '神经网络 —[先修于]→ 反向传播'),
      path('P2', '神经网络 ←[是一种]— 循环神经网络 ←[先修于]— 反向传播'),
    ];
    expect(composeAnswer('神经网络和反向传播之间有什么联系？', context)).toEqual([
      '神经网络先修于反向传播。 [P1]',
    ]);
  });

  it('leaves out paths with other ends than the best one', () => {
    const context = [
      path('P1', 'Supervised learning —[prerequisite_of]→ Neural network —[prerequisite_of]→ Deep learning'),
      path('P2', 'Deep learning —[prerequisite_of]→ Diffusion model'),
    ];
    expect(composeAnswer('How does supervised learning relate to deep learning?', context)).toEqual([
      'Supervised learning relates to deep learning through: supervised learning is a prerequisite of neural network, which is a prerequisite of deep learning. [P1]',
    ]);
  });

  it('answers a question about everything with one point of each community', () => {
    const community = (id: string, text: string) => ({ id, kind: 'community' as const, text });
    const passages = [
      community('G1', 'The Sea Otter won the Elsa Cup.\nJon Lund repaired it.'),
      community('G2', 'The Corner Bakery sells Rye Bread.'),
      { id: 'C1', kind: 'chunk' as const, text: 'The main topic is sailing.' },
    ];
    expect(composeAnswer('What are the main topics?', passages)).toEqual([
      'The Sea Otter won the Elsa Cup. [G1]',
      'The Corner Bakery sells Rye Bread. [G2]',
    ]);
  });
});
