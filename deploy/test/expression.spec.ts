import { describe, expect, it } from 'vitest';
import { ExpressionUnreadableError, readExpression } from '../src/promql/expression.js';

const metricsOf = (expression: string) => readExpression(expression).selectors.map(({ metric }) => metric);

describe('what an expression reads', () => {
  it('is its metrics with their matchers, whatever functions and numbers stand around them', () => {
    const { selectors } = readExpression(
      'histogram_quantile(0.95, sum by (job, le) (rate(a_bucket{x="1", y!~"b|c"}[5m]))) > 2e3',
    );
    expect(selectors).toEqual([
      {
        metric: 'a_bucket',
        matchers: [
          { label: 'x', op: '=', value: '1' },
          { label: 'y', op: '!~', value: 'b|c' },
        ],
      },
    ]);
  });

  it('includes recorded metrics, both sides of every operator, and what stands in subqueries and offsets', () => {
    expect(
      metricsOf(
        'job:a:rate5m / on (job) group_left (x) (b > 0) unless c offset 5m or max_over_time(rate(d[5m])[1h:])',
      ),
    ).toEqual(['job:a:rate5m', 'b', 'c', 'd']);
  });

  it('is the labels of groupings and joins too, also behind the aggregation', () => {
    expect(readExpression('sum(a) by (x, y) / on (z) ignoring () b and on () c').labels).toEqual([
      'x',
      'y',
      'z',
    ]);
  });

  it('leaves strings, comments, variables and words in them alone', () => {
    expect(metricsOf('a{x=\'}b{\',y="sum(c)"} # d\n + rate(e{job=~"$job"}[$__rate_interval])')).toEqual([
      'a',
      'e',
    ]);
  });

  it.each(['{job="x"}', 'a{b}', 'a{b="c"', 'a & b'])(
    'is refused where it cannot be told: %s',
    (expression) => {
      expect(() => readExpression(expression)).toThrow(ExpressionUnreadableError);
    },
  );
});
