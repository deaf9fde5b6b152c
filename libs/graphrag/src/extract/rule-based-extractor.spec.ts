import { parseTenantId } from '@sparkle/contracts';
import { describe, expect, it } from 'vitest';
import { normaliseEntityName } from './entity-name.js';
import { NameDictionary } from './name-dictionary.js';
import { PreparedExtractor } from './prepared-extractor.js';
import { extractByRules, RuleBasedExtractor } from './rule-based-extractor.js';

const tenantId = parseTenantId('acme');
const extract = (text: string, documentTitle = 'Notes', known?: NameDictionary) =>
  extractByRules({ documentTitle, headings: [], text, ...(known ? { known } : {}) });
const triples = (text: string, title?: string) =>
  extract(text, title).relations.map(({ source, type, target }) => `${source} ${type} ${target}`);
const names = (text: string, title?: string, known?: NameDictionary) =>
  extract(text, title, known).entities.map(({ name }) => name);

describe('English entities', () => {
  it.each([
    ['They met at the University of Copenhagen.', 'University of Copenhagen'],
    ['Books by J. K. Rowling sell.', 'J. K. Rowling'],
    ['It was built in 1887 there.', '1887'],
    ['It opened on 31 July 1965 there.', '31 July 1965'],
    ['He wrote "The Old Man and the Sea" there.', 'The Old Man and the Sea'],
    ["We read Vapnik's work.", 'Vapnik'],
    ['The Jean-Paul Sartre prize.', 'Jean-Paul Sartre'],
  ])('%s has %s', (text, name) => {
    expect(names(text)).toContain(name);
  });

  it('takes no sentence opener for a name', () => {
    expect(names('However, it works. The model learns. Although slow, it converges.')).toEqual(['Notes']);
  });

  it('joins an acronym with its expansion', () => {
    const [entity] = extract('The Support Vector Machine (SVM) works. An SVM separates.').entities.slice(1);
    expect(entity).toMatchObject({ name: 'Support Vector Machine', aliases: ['SVM'] });
  });

  it('recognises lower-case names that the tenant knows', () => {
    const known = new NameDictionary();
    known.add('gradient descent', 0);
    expect(names('we minimise by gradient descent here', 'Notes', known)).toContain('gradient descent');
  });

  it('gives the title the most mentions and its form without brackets as an alias', () => {
    const [title] = extract('It stars Ryan Reynolds.', 'Free Guy (film)').entities;
    expect(title).toMatchObject({ name: 'Free Guy (film)', aliases: ['Free Guy'], mentions: 4 });
  });
});

describe('English relations', () => {
  it.each([
    [
      'Gradient descent is an optimisation algorithm for models.',
      'Gradient descent is_a optimisation algorithm',
    ],
    ['Deep Learning requires linear algebra and calculus.', 'linear algebra prerequisite_of Deep Learning'],
    ['Deep Learning requires linear algebra and calculus.', 'calculus prerequisite_of Deep Learning'],
    ['Calculus is a prerequisite for Optimisation.', 'Calculus prerequisite_of Optimisation'],
    [
      'Before learning Neural Networks, you should understand Gradient Descent.',
      'Gradient Descent prerequisite_of Neural Networks',
    ],
    ['Classifiers such as decision trees and random forests exist.', 'decision trees is_a Classifiers'],
    ['Lions, tigers and other cats hunt at night.', 'tigers is_a cats'],
    ['Overfitting refers to a model that fits noise.', 'Overfitting is_a model'],
    ['Entropy is defined as the expected surprise.', 'Entropy is_a expected surprise'],
    ['Marie Curie was born in Warsaw.', 'Marie Curie born_in Warsaw'],
    ['Notting Hill is a 1999 film directed by Roger Michell.', 'Notting Hill directed_by Roger Michell'],
  ])('%s states %s', (text, triple) => {
    expect(triples(text)).toContain(triple);
  });

  it('ends a list of examples where its sentence goes on', () => {
    const found = triples('Optimisers, including Adam, RMSProp and SGD, converge.');
    expect(found.filter((triple) => triple.includes(' is_a '))).toEqual([
      'Adam is_a Optimisers',
      'RMSProp is_a Optimisers',
      'SGD is_a Optimisers',
    ]);
  });

  it.each([
    'Recall, also called sensitivity, measures coverage.',
    'Recall (also known as sensitivity) measures coverage.',
  ])('takes the other name in "%s" for an alias', (text) => {
    expect(extract(text).entities.find(({ name }) => name === 'Recall')?.aliases).toEqual(['sensitivity']);
  });

  it('reads a pronoun at the start of a sentence as the title', () => {
    expect(triples('She was born in Warsaw.', 'Marie Curie')).toContain('Marie Curie born_in Warsaw');
  });

  it.each([
    ['It was founded in 1931 by Marta Kessler.', 'Veldhoven Observatory founded_by Marta Kessler'],
    ['It was founded in 1931 by Marta Kessler.', 'Veldhoven Observatory founded_in 1931'],
    ['The observatory operates the Orion Refractor.', 'Veldhoven Observatory operates Orion Refractor'],
    [
      'Marta Kessler was born in Graz. She studied physics under Ludwig Hartmann.',
      'Marta Kessler studied_physics_under Ludwig Hartmann',
    ],
    ['The Orion Refractor was built by Steinmann Optics in 1938.', 'Orion Refractor built_in 1938'],
  ])('knows what %s is about: %s', (text, triple) => {
    expect(triples(text, 'Veldhoven Observatory')).toContain(triple);
  });

  it('forgets the subject of a sentence at the end of its paragraph', () => {
    expect(triples('Marta Kessler was born in Graz.\n\nIt was built in Jena.', 'Orion')).toContain(
      'Orion built_in Jena',
    );
  });

  it('reads a pronoun below a heading as what the heading names', () => {
    const { relations } = extractByRules({
      documentTitle: 'Course',
      headings: ['Course', 'Gradient descent'],
      text: 'It requires Calculus.',
    });
    expect(relations).toContainEqual(
      expect.objectContaining({ source: 'Gradient descent', type: 'requires', target: 'Calculus' }),
    );
  });

  it('gives names without a verb between them a weak relation, with the sentence as the statement', () => {
    const relation = extract('Alan Turing, Princeton.').relations.find(
      ({ source }) => source === 'Alan Turing',
    );
    expect(relation).toMatchObject({
      type: 'related_to',
      confidence: 0.3,
      statement: 'Alan Turing, Princeton.',
    });
  });
});

describe('Chinese', () => {
  it.each([
    ['支持向量机是一种监督学习模型。', '支持向量机 is_a 监督学习模型'],
    ['学习支持向量机之前，需要先掌握线性代数。', '线性代数 prerequisite_of 支持向量机'],
    ['梯度下降是反向传播的基础。', '梯度下降 prerequisite_of 反向传播'],
    ['《静夜思》是李白写的一首诗。', '李白 wrote 静夜思'],
    ['李白写了《静夜思》。', '李白 wrote 静夜思'],
    ['李白是唐代诗人，出生于碎叶城。', '李白 born_in 碎叶城'],
    ['马克思于1818年5月5日出生在特里尔。', '马克思 born_in 特里尔'],
    ['要理解反向传播，必须先学链式法则。', '链式法则 prerequisite_of 反向传播'],
    ['优化器包括Adam、RMSProp和SGD。', 'SGD part_of 优化器'],
    ['聚类算法，例如K均值、DBSCAN等，很常用。', 'DBSCAN is_a 聚类算法'],
    ['决策树、随机森林和支持向量机都是监督学习算法。', '支持向量机 is_a 监督学习算法'],
    ['深度学习是机器学习的一个分支。', '深度学习 part_of 机器学习'],
    ['北京是中国的首都。', '北京 capital_of 中国'],
    ['爱因斯坦在1905年提出了相对论。', '爱因斯坦 proposed 相对论'],
    ['相对论由爱因斯坦提出。', '爱因斯坦 proposed 相对论'],
    ['阿里巴巴成立于1999年，总部位于杭州。', '阿里巴巴 founded_in 1999'],
    ['阿里巴巴成立于1999年，总部位于杭州。', '阿里巴巴 located_in 杭州'],
    ['布达拉宫位于拉萨。', '布达拉宫 located_in 拉萨'],
  ])('%s states %s', (text, triple) => {
    expect(triples(text)).toContain(triple);
  });

  it('finds titles, years and known terms', () => {
    const known = new NameDictionary();
    known.add('线性代数', 0);
    const found = names('《统计学习方法》出版于2012年，用到线性代数。', '笔记', known);
    expect(found).toEqual(expect.arrayContaining(['统计学习方法', '2012', '线性代数']));
  });

  it('takes the Latin name in brackets for an alias', () => {
    const entity = extract('支持向量机（Support Vector Machine，SVM）很常用。').entities.find(
      ({ name }) => name === '支持向量机',
    );
    expect(entity?.aliases).toEqual(['Support Vector Machine', 'SVM']);
  });

  it.each([
    ['他在柏林大学学习，后来去了巴黎。', ['柏林大学']],
    ['决策树和支持向量机都是算法。', ['支持向量机']],
    ['常用的有RMSProp和SGD。', ['RMSProp', 'SGD']],
  ])('cuts names out of %s where they begin and end', (text, expected) => {
    const found = names(text, '笔记').filter((name) => name !== '笔记');
    expect(found).toEqual(expect.arrayContaining(expected));
    for (const name of found) expect(name).not.toMatch(/^(?:他|她|和|的)|(?:都是|等|学学习)$/);
  });

  it('takes the Latin name with its language and abbreviation in brackets for aliases', () => {
    const text = '随机梯度下降（英语：Stochastic Gradient Descent，缩写：SGD）是一种优化方法。';
    const entity = extract(text).entities.find(({ name }) => name === '随机梯度下降');
    expect(entity?.aliases).toEqual(['Stochastic Gradient Descent', 'SGD']);
  });

  it('takes 又称 for an alias', () => {
    const entity = extract('卷积神经网络又称CNN，很常用。').entities.find(
      ({ name }) => name === '卷积神经网络',
    );
    expect(entity?.aliases).toContain('CNN');
  });
});

it('names both ends of every relation among its entities, each normal form once', () => {
  const { entities, relations } = extract(
    'Rush is a Canadian band. Rush (RUSH) was formed in Toronto in 1968. Neil Peart, also known as The Professor, joined Rush. 他们来自多伦多大学。',
  );
  const keys = entities.map(({ name }) => normaliseEntityName(name));
  expect(new Set(keys).size).toBe(keys.length);
  const own = new Set(entities.map(({ name }) => name));
  for (const { source, target } of relations) {
    expect(own.has(source) && own.has(target)).toBe(true);
  }
});

describe('PreparedExtractor', () => {
  const prepared = new PreparedExtractor(
    [
      {
        title: 'Rush',
        text: 'Rush was a band from Toronto.',
        entities: ['Rush', 'Toronto'],
        triples: [['Rush', 'was from', 'Toronto'], ['malformed']],
      },
    ],
    new RuleBasedExtractor(),
  );
  const request = { tenantId, documentTitle: 'Rush', headings: [], text: 'Rush was a band from Toronto.' };

  it('serves the prepared triples of a passage and leaves out malformed ones', async () => {
    const { relations } = await prepared.extract(request);
    expect(relations).toContainEqual({
      source: 'Rush',
      target: 'Toronto',
      type: 'was_from',
      statement: 'Rush was from Toronto',
      confidence: 0.9,
    });
  });

  it('falls back for other passages', async () => {
    const other = { ...request, text: 'Neil Peart was born in Hamilton.' };
    expect(await prepared.extract(other)).toEqual(await new RuleBasedExtractor().extract(other));
  });

  it('believes a stated prerequisite only between concepts that are known, and not what stands in its reason', async () => {
    const known = new NameDictionary();
    for (const [id, name] of ['Backpropagation', 'calculus'].entries()) known.add(name, id);
    const text = 'Backpropagation requires calculus and some patience, because training needs derivatives.';
    const { relations } = extractByRules({ documentTitle: 'Notes', headings: [], text, known });
    const stated = relations.filter(({ type }) => type === 'prerequisite_of');
    expect(stated.map(({ source, confidence }) => [source.toLowerCase(), confidence >= 0.8])).toEqual([
      ['calculus', true],
      ['patience', false],
    ]);
  });
});
