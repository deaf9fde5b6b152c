import { describe, expect, it } from 'vitest';
import { questionForm } from '../src/semantic/question-form.js';
import { compareQuestions } from '../src/semantic/question-gates.js';

const verdict = (left: string, right: string) => {
  const found = compareQuestions(questionForm(left), questionForm(right));
  const back = compareQuestions(questionForm(right), questionForm(left));
  expect(back.kind).toBe(found.kind);
  return found.kind === 'different' ? found.reason : found.kind;
};

describe('questions that differ only in how they are put are equivalent', () => {
  it.each([
    ['What is gradient descent?', 'what does gradient descent mean?'],
    ['What is gradient descent?', "What's gradient descent"],
    ['What is gradient descent?', 'Please explain gradient descent.'],
    ['What is gradient descent?', 'Could you please tell me what gradient descent is?'],
    ['What is gradient descent?', 'Define gradient descent'],
    ['What is gradient descent?', 'Describe gradient descent, please'],
    ['What is gradient descent?', 'Tell me about gradient descent'],
    ['What is gradient descent?', '  WHAT   IS GRADIENT DESCENT ??'],
    ['What is a neural network?', 'What are neural networks?'],
    ['How do I train a neural network?', 'How can I train a neural network?'],
    ['How do I train a neural network?', 'How to train neural networks'],
    ["What's France's capital?", 'What is the capital of France?'],
    ["Why doesn't SGD converge?", 'Why does SGD not converge?'],
    ['What is the difference between precision and recall?', 'How do recall and precision differ?'],
    ['Explain chapter two', 'explain Chapter 2'],
    ['What happened in World War II?', 'What happened in World War 2?'],
    ['什么是梯度下降?', '梯度下降是什么'],
    ['什么是梯度下降?', '请解释一下梯度下降'],
    ['什么是梯度下降?', '请问，什么叫梯度下降？'],
    ['什么是梯度下降?', '梯度下降是什么意思？'],
    ['什么是梯度下降?', '介绍一下梯度下降'],
    ['如何训练神经网络？', '怎么训练神经网络'],
    ['第三章讲了什么', '第3章讲了什么？'],
    ['机器学习和深度学习有什么区别', '深度学习与机器学习的区别是什么？'],
    ['为什么要归一化？', '请问为什么要归一化'],
  ])('%s = %s', (left, right) => {
    expect(verdict(left, right)).toBe('equivalent');
  });
});

describe('questions that ask something else are different', () => {
  it.each([
    ['What is gradient descent?', 'What is not gradient descent?', 'polarity'],
    ['Why does SGD converge?', "Why doesn't SGD converge?", 'polarity'],
    ['How do I increase the learning rate?', 'How do I decrease the learning rate?', 'polarity'],
    ['What are the advantages of SGD?', 'What are the drawbacks of SGD?', 'polarity'],
    ['What is supervised learning?', 'What is unsupervised learning?', 'polarity'],
    ['Is this algorithm stable?', 'Is this algorithm unstable?', 'polarity'],
    ['How do I train with labels?', 'How do I train without labels?', 'polarity'],
    ['What is the encoder?', 'What is the decoder?', 'polarity'],
    ['Summarise chapter 2', 'Summarise chapter 3', 'numbers'],
    ['Who won in twenty twelve?', 'Who won in 2013?', 'numbers'],
    ['What happened in World War I?', 'What happened in World War II?', 'numbers'],
    ['Should I upgrade to the iPhone 7?', 'Should I upgrade to the iPhone 6?', 'numbers'],
    ['Who is Ada Lovelace?', 'Who is Grace Hopper?', 'subject'],
    ['What is the capital of France?', 'What is the capital of Germany?', 'subject'],
    ['How do I learn Java?', 'How do I learn JavaScript?', 'subject'],
    ['What does "eager" mean?', 'What does "lazy" mean?', 'subject'],
    ['How do I fly from Paris to Rome?', 'How do I fly from Rome to Paris?', 'roles'],
    ['Is Python faster than Java?', 'Is Java faster than Python?', 'roles'],
    ['What are the best poems about India?', 'What are the best poems in India?', 'roles'],
    ['When was SGD invented?', 'Who invented SGD?', 'kind'],
    ['Where is dropout used?', 'When is dropout used?', 'kind'],
    ['How many layers does ResNet have?', 'Why does ResNet have layers?', 'kind'],
    ['Can I use dropout?', 'Should I use dropout?', 'kind'],
    ['Who is the president?', 'Who was the president?', 'tense'],
    ['What is my score?', 'What is your score?', 'person'],
    ['什么是梯度下降？', '什么不是梯度下降？', 'polarity'],
    ['为什么模型收敛？', '为什么模型不收敛？', 'polarity'],
    ['什么是有监督学习？', '什么是无监督学习？', 'polarity'],
    ['如何增加学习率', '如何减少学习率', 'polarity'],
    ['SGD的优点是什么', 'SGD的缺点是什么', 'polarity'],
    ['第二章讲了什么', '第三章讲了什么', 'numbers'],
    ['如何训练三层网络', '如何训练五层网络', 'numbers'],
    ['法国的首都是什么', '德国的首都是什么', 'subject'],
    ['北京到上海怎么走', '上海到北京怎么走', 'roles'],
    ['谁发明了反向传播', '什么时候发明了反向传播', 'kind'],
    ['为什么使用卷积', '怎么使用卷积', 'kind'],
    ['What is gradient descent?', '什么是梯度下降?', 'language'],
  ])('%s ≠ %s (%s)', (left, right, reason) => {
    expect(verdict(left, right)).toBe(reason);
  });
});

describe('the analysis', () => {
  it.each([
    '',
    '???',
    '的',
    'a',
    '\ud800',
    'x'.repeat(100_000),
    '是'.repeat(5_000),
    'how '.repeat(3_000),
    "'s 's's",
  ])('copes with odd text', (text) => {
    const form = questionForm(text);
    expect(compareQuestions(form, questionForm(text)).kind).toBe('equivalent');
  });

  it('does not find negation in words that only look like it', () => {
    expect(questionForm('机器学习和深度学习有什么不同').negations).toBe(0);
    expect(questionForm('这是不是对的').negations).toBe(0);
    expect(questionForm('Is notation important?').negations).toBe(0);
  });
});
