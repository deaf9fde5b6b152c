import { describe, expect, it } from 'vitest';
import { LearningPathTool } from './learning-path.tool.js';
import { ProgressTool } from './progress.tool.js';

const learning = new LearningPathTool({ plan: () => Promise.reject(new Error('not asked')) });
const progress = new ProgressTool({
  progress: () => Promise.reject(new Error('not asked')),
  nodes: () => Promise.reject(new Error('not asked')),
});

describe('a question that is plainly about the way to a concept', () => {
  it.each([
    ['What should I learn before gradient descent?', 'gradient descent'],
    ['what do I need to know to understand the chain rule', 'chain rule'],
    ['What must I study first before learning backpropagation?', 'backpropagation'],
    ['Give me a learning path to Support Vector Machines, please.', 'Support Vector Machines'],
    ['How can I get to transformers?', 'transformers'],
    ['学梯度下降之前应该先学什么？', '梯度下降'],
    ['学习反向传播前我需要掌握哪些知识？', '反向传播'],
    ['请问反向传播的学习路径是什么', '反向传播'],
    ['怎么才能学会支持向量机？', '支持向量机'],
  ])('"%s" names %s', (question, target) => {
    expect(learning.suits(question, [])).toEqual({ target });
  });

  it('may refer to what the turn before was about', () => {
    expect(learning.suits('What should I learn before it?', ['Entropy'])).toEqual({ target: 'Entropy' });
    expect(learning.suits('学它之前应该先学什么？', ['熵'])).toEqual({ target: '熵' });
    expect(learning.suits('What should I learn before it?', [])).toBeUndefined();
  });
});

describe('a question that is plainly about the learner', () => {
  it.each([
    ['How far am I?', 7],
    ['What have I learned in the last 30 days?', 30],
    ['Show my progress this month', 30],
    ['How much did I study today?', 1],
    ['我学到哪了？', 7],
    ['我最近学了什么？', 7],
    ['最近14天我的学习进度怎么样？', 14],
    ['我掌握了哪些概念？', 7],
    ['How far am I, over the last 999 days?', 366],
  ])('"%s" looks back %i days', (question, days) => {
    expect(progress.suits(question)).toEqual({ days });
  });
});

describe('any other question', () => {
  it.each([
    'What is gradient descent?',
    'How is entropy related to enthalpy?',
    'What came before the big bang?',
    'How far is the moon?',
    'What have they learned from it?',
    'What progress did physics make in 1905?',
    'What are the prerequisites of backpropagation?',
    '梯度下降是什么？',
    '他学到了什么？',
    '学习率太大会怎么样？',
    '监督学习和无监督学习有什么区别？',
    '机器学习的进展如何？',
  ])('"%s" is left to retrieval', (question) => {
    expect(learning.suits(question, ['Entropy'])).toBeUndefined();
    expect(progress.suits(question)).toBeUndefined();
  });
});
