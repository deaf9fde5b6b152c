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
    ['What is the best way to learn Python?', 'How do I learn Python?'],
    ['What are effective methods of learning Python?', 'how to learn python'],
    ['What can I do to sleep better?', 'How can one sleep better?'],
    ['How do I improve my English?', 'How do you improve your English?'],
    ['How should one treat his back?', 'What is the best way to treat my back?'],
    ['Which movie is the best?', 'What is the best film?'],
    ['What are some good books on SQL?', 'What are the best books on SQL?'],
    ['What do you think of Brexit?', 'What are your views on Brexit?'],
    ['What does it feel like to be rich?', 'What is it like to be rich?'],
    ['What happens if I eat mould?', 'What would happen if I eat mould?'],
    ['How much does a visa cost?', 'What is the price of a visa?'],
    ['How long does it take to learn German?', 'How much time does it take to learn German?'],
    ['What colour is the sun?', 'What color is the sun?'],
    ['Do children lie?', 'Do kids lie? Why or why not?'],
    ['Which is the best phone under 20k?', 'What is the best smartphone under 20000?'],
    ['Who is the president of the U.S.?', 'Who is the president of the United States?'],
    ['What is the difference between A/B tests and surveys?', 'How do surveys and A/B tests differ?'],
    ['什么是梯度下降?', '梯度下降是什么'],
    ['比特币多少钱', '比特币的价格是多少？'],
    ['你觉得人工智能怎么样', '你对人工智能有什么看法？'],
    ['如果地球停止转动会怎样', '要是地球停止转动会发生什么'],
    ['如何训练一个神经网络', '怎么训练神经网络'],
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
    ['How do I quit smoking?', 'How do I smoke?', 'subject'],
    ['How do I lock my phone?', 'How do I unlock my phone?', 'polarity'],
    ['What if I eat too much sugar?', 'What if I eat too little sugar?', 'polarity'],
    ['What happens before meiosis?', 'What happens after meiosis?', 'polarity'],
    ['Who is the former president of France?', 'Who is the president of France?', 'subject'],
    ['Is 5 + 3 more than 7?', 'Is 5 - 3 more than 7?', 'subject'],
    ['How do I convert 10 to 20?', 'How do I convert 20 to 10?', 'numbers'],
    ['What is vitamin A?', 'What is a vitamin?', 'subject'],
    ['What is HTTP?', 'What is HTTPS?', 'subject'],
    ['What is AIDS?', 'What is aid?', 'subject'],
    ['What is marketing?', 'What is a market?', 'subject'],
    ['How are nitrates formed in soil?', 'How are nitrites formed in soil?', 'subject'],
    ['What is a causal model?', 'What is a casual model?', 'subject'],
    ['What is the capital of Ireland?', 'What is the capital of Iceland?', 'subject'],
    ['What is a universe?', 'What is a university?', 'subject'],
    ['What is good cholesterol?', 'What is the best cholesterol?', 'kind'],
    ['What is the cheapest way to fly?', 'What is the best way to fly?', 'kind'],
    ['Should I move to Paris from Rome?', 'Should I move from Paris to Rome?', 'roles'],
    ['Is my dog bigger than your dog?', 'Is your dog bigger than my dog?', 'person'],
    ['Is John the boss of Mary?', 'Is Mary the boss of John?', 'roles'],
    ['Do dogs that bark not bite?', 'Do dogs that do not bark bite?', 'polarity'],
    ['Why do people not eat what they like?', 'Why do people eat what they do not like?', 'polarity'],
    ['Is division by zero allowed?', 'Is zero by division allowed?', 'roles'],
    ['Should I go to Goa in May?', 'Should I go to May in Goa?', 'roles'],
    ['Is it?', 'Does it?', 'subject'],
    ['什么是梯度下降？', '什么不是梯度下降？', 'polarity'],
    ['你喜欢我吗', '我喜欢你吗', 'person'],
    ['这道题怎么做', '那道题怎么做', 'person'],
    ['一个苹果多少钱', '两个苹果多少钱', 'numbers'],
    ['每一个学生都来了吗', '一个学生来了吗', 'subject'],
    ['如果下雨会怎样', '如果不下雨会怎样', 'polarity'],
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

describe('what stands before a noun or after it', () => {
  it.each([
    ['What is the best Linkin Park song?', 'What is the best song by Linkin Park?'],
    ['How do I change my Quora profile photo?', 'How can I change my profile picture on Quora?'],
    ['What are the Paris museums?', 'What are the museums in Paris?'],
  ])('is left to the similarity: %s ~ %s', (left, right) => {
    expect(compareQuestions(questionForm(left), questionForm(right))).toEqual({
      kind: 'possible',
      atLeast: 0,
    });
  });

  it.each([
    ['Who is the king of Spain?', 'Who is the Spain of king?'],
    ['What is a house for dogs in Rome?', 'What is a house for Rome in dogs?'],
  ])('has to be the same: %s ≠ %s', (left, right) => {
    expect(verdict(left, right)).toBe('roles');
  });
});

describe('one word more on a side', () => {
  it('needs a similarity that only long questions reach', () => {
    const asked = questionForm('What is the balanced equation for the combustion of propane?');
    const answered = questionForm('What is the equation for the combustion of propane?');
    const found = compareQuestions(asked, answered);
    expect(found.kind === 'possible' && found.atLeast).toBeGreaterThan(0.97);
  });

  it.each([
    ['What is the Tesla stock price today?', 'What is the stock price today?'],
    ['What is the best free course?', 'What is the best course?'],
    ['What are the largest cities in Peru?', 'What are the cities in Peru?'],
  ])('is no aside when it names, chooses or has an opposite: %s ≠ %s', (left, right) => {
    expect(['subject', 'kind']).toContain(verdict(left, right));
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
    'what is the best best '.repeat(90),
    `what ${'is '.repeat(600)}best`,
    `which ${'are the best of the '.repeat(100)}`,
    'and why, '.repeat(220),
    'what are some of the very most good '.repeat(55),
    'a b of c in d on '.repeat(110),
    '如果'.repeat(500),
    '多少钱的价格'.repeat(300),
    `${'5 - '.repeat(400)}3`,
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
