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
    ['Marie Curie was born in Warsaw.', 'Marie Curie born_in Warsaw'],
    ['Notting Hill is a 1999 film directed by Roger Michell.', 'Notting Hill directed_by Roger Michell'],
  ])('%s states %s', (text, triple) => {
    expect(triples(text)).toContain(triple);
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
