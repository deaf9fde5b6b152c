import { describe, expect, it } from 'vitest';
import { prepositionOnly, relationBetween, verbOfRelation } from './relation-between.js';

describe('the words between two names', () => {
  it.each([
    ['was born in', 'born_in'],
    ['was originally founded by the', 'founded_by'],
    ['is located in the', 'located_in'],
    ['is the capital of', 'capital_of'],
    [', the capital of', 'capital_of'],
    ['(1990) is a research station in the', 'research_station_in'],
    ['is a variant of', 'variant_of'],
    ['is a film directed by', 'directed_by'],
    ['requires the', 'requires'],
    ['require', 'requires'],
    ['contrasts with the', 'contrasts_with'],
    ['is a method that averages many', 'averages'],
    ['lived in', 'lived_in'],
    [', who married', 'married'],
    ['studied physics under', 'studied_physics_under'],
    ['is a', 'is_a'],
    [', starring', 'starring'],
    ['introduced rigour into analysis and studied at the', 'studied_at'],
    ['出生于', 'born_in'],
    ['位于', 'located_in'],
    ['是一种', 'is_a'],
    ['使用了', 'uses'],
  ])('“%s” state %s', (between, type) => {
    expect(relationBetween(between).type).toBe(type);
  });

  it.each([
    'feed-forward network or',
    'is the cross-entropy, the negative logarithm the',
    'by applying the',
    'any technique that discourages a model from',
    'distances of',
    'neighbours',
    'typical tasks:',
    'weak models are usually shallow',
    'for eigenvectors and',
    'as setting',
    'harmonic mean',
    'model-free',
    'because training needs the derivative of the',
    'events are independent when the',
    'two',
    'linear',
    'and the network uses',
    'of the',
    'of',
    'and',
    '的',
    '对于所有样本的梯度与',
    '',
  ])('“%s” state nothing', (between) => {
    expect(relationBetween(between)).toEqual({ type: 'related_to', confidence: 0.3 });
  });

  it('may open with a noun that stands for the first name', () => {
    expect(relationBetween('film was directed by', { subjectNoun: true }).type).toBe('directed_by');
    expect(relationBetween('forward process adds little', { subjectNoun: true }).type).toBe('related_to');
  });
});

describe('a verb with several prepositions', () => {
  it.each([
    ['founded_in', 'founded'],
    ['built_by', 'built'],
    ['capital_of', undefined],
    ['requires', undefined],
    ['related_to', undefined],
  ])('%s has the verb %s', (type, verb) => {
    expect(verbOfRelation(type)).toBe(verb);
  });

  it.each([
    [' by ', 'by'],
    [' in the ', 'in'],
    [' and ', undefined],
  ])('%j is only the preposition %s', (between, preposition) => {
    expect(prepositionOnly(between)).toBe(preposition);
  });
});
