import { describe, expect, it } from 'vitest';
import { countriesIn } from './countries.js';

describe('countriesIn', () => {
  it.each([
    ['an American-born British painter', ['united states', 'united kingdom']],
    ['He moved from the U.S. to South Korea, then to Germany.', ['united states', 'south korea', 'germany']],
    ['West German and East German films', ['germany']],
    ['She is from Bosnia and Herzegovina.', ['bosnia and herzegovina']],
    ['他是美国数学家，后来去了日本。', ['japan', 'united states']],
    ['The Polish of the furniture and the usage of us', ['poland']],
    ['Nothing of the kind', []],
  ])('%s', (text, countries) => {
    expect([...countriesIn(text)].sort()).toEqual([...countries].sort());
  });
});
