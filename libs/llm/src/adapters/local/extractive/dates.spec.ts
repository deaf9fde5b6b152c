import { describe, expect, it } from 'vitest';
import { datesIn, lifeDates } from './dates.js';

const values = (text: string) => datesIn(text).map(({ value }) => value);

describe('datesIn', () => {
  it.each([
    ['on 8 October 1985 and March 12, 1928', [19851008, 19280312]],
    ['in September 2016, in 1998 and on the 3rd of May', [20160900, 19980000]],
    ['1912年6月23日出生，1954年去世', [19120623, 19540000]],
    ['a crew of 1200 men, 1,984 houses and 3.1415 litres', [12000000]],
  ])('finds the dates of "%s"', (text, expected) => {
    expect(values(text)).toEqual(expected);
  });

  it('orders what is known less exactly before what is known more exactly in the same year', () => {
    const [year, day] = values('in 1984 and on 2 March 1984');
    expect(year).toBeLessThan(day!);
  });
});

describe('lifeDates', () => {
  it.each([
    ['Edward Albee (March 12, 1928 – September 16, 2016) was a playwright.', 19280312, 20160916],
    ['Simone Bolelli (born 8 October 1985) is a tennis player.', 19851008, undefined],
    ['Matthew (died 1173) was a count.', undefined, 11730000],
    ['George Grey (1454 – 25 December 1505) was an earl.', 14540000, 15051225],
    ['She was born in Oslo on 3 May 1900.', 19000503, undefined],
    ['He died in Rome on 4 June 1950.', undefined, 19500604],
    ['图灵（1912年6月23日－1954年6月7日）是数学家。', 19120623, 19540607],
    ['The album (released in 1998) was a success.', undefined, undefined],
  ])('reads %s', (text, born, died) => {
    expect(lifeDates(text)).toEqual({
      ...(born !== undefined && { born }),
      ...(died !== undefined && { died }),
    });
  });
});
