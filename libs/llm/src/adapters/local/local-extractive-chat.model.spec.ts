import { parseTenantId } from '@sparkle/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkCitations } from '../../core/citation-check.js';
import { countTokens } from '../../core/token-count.js';
import { isUnsupportedAnswer, UNSUPPORTED_ANSWER } from '../../core/unsupported-answer.js';
import type { ContextPassage } from '../../ports/chat-model.port.js';
import { chatModelContract } from '../../testing/chat-model.contract.js';
import { LocalExtractiveChatModel } from './local-extractive-chat.model.js';

chatModelContract('LocalExtractiveChatModel', async () => ({
  model: new LocalExtractiveChatModel(),
  close: async () => undefined,
}));

const tenantId = parseTenantId('acme');
const model = new LocalExtractiveChatModel();
const ask = async (question: string, context: readonly ContextPassage[], maxOutputTokens?: number) =>
  model.generate({
    tenantId,
    messages: [{ role: 'user', content: question }],
    context,
    ...(maxOutputTokens && { maxOutputTokens }),
  });
const answer = async (question: string, context: readonly ContextPassage[]) =>
  (await ask(question, context)).text;

const COURSE: readonly ContextPassage[] = [
  {
    id: 'p1',
    kind: 'path',
    text: 'Supervised learning —prerequisite_of→ Neural networks —prerequisite_of→ Deep learning',
  },
  {
    id: 'c1',
    kind: 'chunk',
    title: 'Supervised learning',
    text: 'Supervised learning is a paradigm in machine learning where algorithms learn from labelled data. It was formalised in the 1960s by several authors. Regression and classification are its two main tasks.',
    score: 1,
  },
  {
    id: 'c2',
    kind: 'chunk',
    title: 'Deep learning',
    text: 'Deep learning uses neural networks with many layers. Geoffrey Hinton, Yann LeCun and Yoshua Bengio won the Turing Award in 2018. Dropout reduces overfitting by randomly disabling units during training.',
    score: 0.8,
  },
  {
    id: 'z1',
    kind: 'chunk',
    text: '监督学习是机器学习的一种方法，它利用带标签的数据训练模型。反向传播算法由鲁梅尔哈特等人在1986年推广。',
  },
];
const MEMORY: readonly ContextPassage[] = [
  { id: 'm1', kind: 'message', text: 'user: My name is Alice. I live in Berlin and I have two cats.' },
  { id: 'm2', kind: 'message', text: 'user: What is my name?' },
  { id: 'm3', kind: 'message', text: `assistant: ${UNSUPPORTED_ANSWER.en}` },
];

describe('an answer of the local model', () => {
  it('is the sentence that defines what is asked about, with its citation', async () => {
    expect(await answer('What is supervised learning?', COURSE)).toBe(
      'Supervised learning is a paradigm in machine learning where algorithms learn from labelled data. [c1]',
    );
    expect(await answer('什么是监督学习？', COURSE)).toBe(
      '监督学习是机器学习的一种方法，它利用带标签的数据训练模型。 [z1]',
    );
  });

  it.each([
    ['Who won the Turing Award?', 'Yoshua Bengio', 'c2'],
    ['When was supervised learning formalised?', '1960s', 'c1'],
    ['How does dropout help?', 'overfitting', 'c2'],
    ['反向传播算法是什么时候推广的？', '1986', 'z1'],
  ])('to %j holds %j and cites %s', async (question, fact, id) => {
    const text = await answer(question, COURSE);
    expect(text).toContain(fact);
    expect(text).toContain(`[${id}]`);
  });

  it('puts the path between two things into words first', async () => {
    expect(await answer('How does supervised learning relate to deep learning?', COURSE)).toMatch(
      /^Supervised learning relates to deep learning through: supervised learning is a prerequisite of neural networks, which are a prerequisite of deep learning\. \[p1\]/u,
    );
    expect(await answer('监督学习和深度学习有什么关系？', COURSE)).toMatch(
      /^Supervised learning与Deep learning的联系是：.+先修内容。 \[p1\]/u,
    );
  });

  it('quotes the statements below a path, citing the path', async () => {
    const context: ContextPassage[] = [
      {
        id: 'P1',
        kind: 'path',
        text: 'Inception —[directed_by]→ Christopher Nolan\nInception was directed by Christopher Nolan in 2010.',
      },
    ];
    expect(await answer('Who directed Inception?', context)).toBe(
      'Inception was directed by Christopher Nolan in 2010. [P1]',
    );
  });

  it('follows a name into a second passage', async () => {
    const context: ContextPassage[] = [
      {
        id: 'c1',
        kind: 'chunk',
        title: 'Inception',
        text: 'Inception is a film of 2010. The director of Inception is Christopher Nolan.',
      },
      {
        id: 'c2',
        kind: 'chunk',
        title: 'Christopher Nolan',
        text: 'Christopher Nolan is a film maker. He was born in London.',
      },
      { id: 'c3', kind: 'chunk', title: 'Hans Zimmer', text: 'Hans Zimmer was born in Frankfurt.' },
    ];
    const text = await answer('Where was the director of Inception born?', context);
    expect(text).toContain('Christopher Nolan. [c1]');
    expect(text).toContain('He was born in London. [c2]');
  });

  it('introduces a sentence that starts with a pronoun by the one before it', async () => {
    const text = await answer('When was supervised learning formalised?', COURSE);
    expect(text.indexOf('Supervised learning is')).toBeLessThan(text.indexOf('It was formalised'));
  });

  it.each([
    ['What is my name?', 'My name is Alice. [m1]'],
    ['Where do I live?', 'I live in Berlin and I have two cats. [m1]'],
    ['How many cats do I have?', 'I live in Berlin and I have two cats. [m1]'],
  ])('remembers what the user said: %j', async (question, expected) => {
    expect(await answer(question, MEMORY)).toBe(expected);
  });

  it('remembers in Chinese', async () => {
    const memory: ContextPassage[] = [{ id: 'm9', kind: 'message', text: '用户：我叫小明。我住在上海。' }];
    expect(await answer('我叫什么名字？', memory)).toBe('我叫小明。 [m9]');
    expect(await answer('我住在哪里？', memory)).toBe('我住在上海。 [m9]');
  });

  it.each([
    'Who invented the zorblax?',
    'What is the capital of France?',
    'Who won the Nobel Prize in 2018?',
    'What is my dog called?',
    'Hello',
    '',
  ])('to %j, which nothing supports, is that it does not know, without a citation', async (question) => {
    expect(await answer(question, [...COURSE, ...MEMORY])).toBe(UNSUPPORTED_ANSWER.en);
  });

  it('says in Chinese that it does not know a Chinese question', async () => {
    const text = await answer('什么是量子纠缠？', COURSE);
    expect(text).toBe(UNSUPPORTED_ANSWER.zh);
    expect(isUnsupportedAnswer(text)).toBe(true);
  });

  it('knows nothing without a context', async () => {
    expect(await answer('What is supervised learning?', [])).toBe(UNSUPPORTED_ANSWER.en);
  });

  it('holds nothing that the context does not, and cites only what it was given', async () => {
    const sentence = fc
      .array(
        fc.constantFrom(
          'gradient',
          'descent',
          'Paris',
          'is',
          'the',
          '1990',
          'dropout',
          'born',
          'learns',
          '学习',
          '模型',
        ),
        {
          minLength: 2,
          maxLength: 9,
        },
      )
      .map((words) => `${words.join(' ')}.`);
    const passage = fc
      .array(sentence, { minLength: 1, maxLength: 4 })
      .map((sentences) => sentences.join(' '));
    await fc.assert(
      fc.asyncProperty(sentence, fc.array(passage, { maxLength: 5 }), async (question, texts) => {
        const context = texts.map((text, index) => ({ id: `c${index}`, kind: 'chunk' as const, text }));
        const text = await answer(question, context);
        if (isUnsupportedAnswer(text)) return;
        const { cited, rejected } = checkCitations(
          text,
          context.map(({ id }) => id),
        );
        expect(rejected).toEqual([]);
        expect(cited.length).toBeGreaterThan(0);
        for (const part of text.split(/\s*\[c\d+\]\s*/u).filter(Boolean)) {
          expect(texts.some((source) => source.replace(/\s+/gu, ' ').includes(part))).toBe(true);
        }
      }),
    );
  });

  it('keeps to the limit of tokens by whole sentences', async () => {
    const full = await ask('How does supervised learning relate to deep learning?', COURSE);
    const cut = await ask('How does supervised learning relate to deep learning?', COURSE, 45);
    expect(cut.finishReason).toBe('length');
    expect(full.text.startsWith(cut.text)).toBe(true);
    expect(cut.text).toMatch(/\[p1\]$/u);
  });

  it('costs nothing and counts its tokens', async () => {
    const { usage, text, model: name } = await ask('Who won the Turing Award?', COURSE);
    expect(usage).toMatchObject({ costUsd: 0, outputTokens: countTokens(text) });
    expect(name).toBe('local-extractive');
  });
});

describe('a summary of the local model', () => {
  const messages = [
    { role: 'user' as const, content: 'Hi there!' },
    { role: 'assistant' as const, content: 'Hello! How can I help you today?' },
    {
      role: 'user' as const,
      content: 'My name is Alice and I prepare for an exam on 12 March. The weather is nice.',
    },
    { role: 'assistant' as const, content: 'I suggest linear algebra. It is the basis of most methods.' },
    { role: 'user' as const, content: 'Okay thanks. I decided to study three hours a day.' },
    { role: 'user' as const, content: '我叫小明，喜欢数学。' },
  ];
  const summarise = async (maxOutputTokens: number) =>
    (await model.generate({ tenantId, task: 'summarise', messages, maxOutputTokens })).text;

  it('keeps facts and decisions with who said them, and leaves small talk out', async () => {
    const text = await summarise(60);
    expect(text).toContain('User: My name is Alice');
    expect(text).toContain('I decided to study three hours a day.');
    expect(text).toContain('用户：我叫小明，喜欢数学。');
    expect(text).not.toMatch(/Hi there|thanks/u);
  });

  it('stays within its tokens and only copies', async () => {
    for (const limit of [5, 20, 40, 200]) {
      const text = await summarise(limit);
      expect(countTokens(text)).toBeLessThanOrEqual(limit);
      const said = messages.map(({ content }) => content).join('\n');
      for (const line of text.split('\n')) {
        expect(said).toContain(line.replace(/^(?:User: |Assistant: |用户：|助手：)/u, ''));
      }
    }
  });

  it('can be summarised again and still be asked about', async () => {
    const first = await summarise(60);
    const merged = await model.generate({
      tenantId,
      task: 'summarise',
      messages: [],
      context: [{ id: 's1', kind: 'summary', text: first }],
      maxOutputTokens: 60,
    });
    expect(merged.text).toContain('User: My name is Alice');
    const context = [{ id: 's2', kind: 'summary' as const, text: merged.text }];
    expect(await answer('What is my name?', context)).toContain('Alice');
  });
});
