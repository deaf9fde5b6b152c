import { describe, expect, it } from 'vitest';
import { summaryPoints } from './summary-points.js';

const sources = new Map([
  ['S1', { text: 'Rosa Keller opened the Corner Bakery in 1990. It sells rye bread.', chunkIds: ['c1'] }],
  ['S2', { text: 'The Corner Bakery won a prize for its rye bread.', chunkIds: ['c2'] }],
  ['S3', { text: '梯度下降是一种优化算法。', chunkIds: ['c3'] }],
]);
const points = (summary: string, most = 10) => summaryPoints(summary, sources, most);

describe('the points of a summary', () => {
  it('rest on the passages that their markers name, without the markers', () => {
    expect(points('- The bakery sells prize-winning rye bread [S1][S2].')).toEqual([
      { text: 'The bakery sells prize-winning rye bread.', chunkIds: ['c1', 'c2'], verbatim: false },
    ]);
    expect(points('The bakery sells rye bread and won a prize 【S1，S2】')[0]!.chunkIds).toEqual([
      'c1',
      'c2',
    ]);
  });

  it('rest on the passage they were copied from when they name none', () => {
    expect(points('It sells rye bread.\n梯度下降是一种优化算法。')).toEqual([
      { text: 'It sells rye bread.', chunkIds: ['c1'], verbatim: true },
      { text: '梯度下降是一种优化算法。', chunkIds: ['c3'], verbatim: true },
    ]);
  });

  it.each([
    ['what no passage says', 'The bakery burnt down last winter after a storm [S1].'],
    ['what is ascribed to a passage that was not there', 'Quantum computers factor large integers [S9].'],
    ['what is ascribed to a passage that says something else', 'Rosa Keller opened the Corner Bakery [S3].'],
    ['lines of markers alone', '[S1][S2]'],
    ['lines too long to be points', `Rosa Keller ${'opened the Corner Bakery '.repeat(40)}[S1]`],
  ])('leave out %s', (_, line) => {
    expect(points(line)).toEqual([]);
  });

  it('are said once, and not more than wanted', () => {
    expect(
      points('It sells rye bread.\n* It sells  rye bread. [S1]\nThe Corner Bakery won a prize [S2]'),
    ).toHaveLength(2);
    expect(points('It sells rye bread.\nThe Corner Bakery won a prize [S2]', 1)).toHaveLength(1);
  });
});
