import type { DashboardSpec } from './panels.js';

export const caches: DashboardSpec = {
  uid: 'sparkle-caches',
  title: 'Sparkle / Caches',
  description: 'What the tiers of the cache and the semantic cache answer, and what that costs.',
  rows: [
    {
      title: 'Hits',
      panels: [
        {
          title: 'Hit ratio',
          description: 'What memory and Redis together answered, of what was asked; the aim is 80 %.',
          unit: 'ratio',
          max: 1,
          queries: [['job:cache_hits:ratio_rate5m{job=~"$job"}', '{{job}}']],
        },
        {
          title: 'Hit ratio by tier',
          description: 'Hits, stale and negative entries, of the look-ups of each tier.',
          unit: 'ratio',
          max: 1,
          queries: [['job_tier:cache_hits:ratio_rate5m{job=~"$job"}', '{{tier}} {{job}}']],
        },
        {
          title: 'Look-ups by tier',
          description: 'Per second.',
          unit: 'perSecond',
          kind: 'stacked',
          queries: [['job_tier:cache_lookups:rate5m{job=~"$job"}', '{{tier}} {{job}}']],
        },
        {
          title: 'Misses by namespace',
          description: 'Where the loaders are called.',
          unit: 'perSecond',
          kind: 'stacked',
          queries: [
            [
              'topk(10, sum by (namespace) (rate(cache_events_total{job=~"$job",tier="l2",outcome="miss"}[$__rate_interval])))',
              '{{namespace}}',
            ],
          ],
        },
        {
          title: 'Semantic and exact answers',
          description: 'Look-ups of the tiers that spare a model call.',
          unit: 'perSecond',
          kind: 'stacked',
          queries: [
            [
              'sum by (tier, outcome) (rate(cache_events_total{job=~"$job",tier=~"exact|semantic"}[$__rate_interval]))',
              '{{tier}} {{outcome}}',
            ],
          ],
        },
        {
          title: 'Hit ratio of each process',
          description: 'Over its sliding window.',
          unit: 'ratio',
          max: 1,
          queries: [['cache_hit_ratio{job=~"$job"}', '{{tier}} {{instance}}']],
        },
      ],
    },
    {
      title: 'Changes and faults',
      panels: [
        {
          title: 'Stored, evicted, invalidated',
          description: 'Entries per second, by tier.',
          unit: 'perSecond',
          queries: [
            [
              'sum by (tier, outcome) (rate(cache_events_total{job=~"$job",outcome=~"set|evicted|invalidated|rejected"}[$__rate_interval]))',
              '{{tier}} {{outcome}}',
            ],
          ],
        },
        {
          title: 'Failed calls of Redis',
          description: 'Within 5 minutes. The cache goes on with memory and the loaders.',
          unit: 'count',
          queries: [['job:cache_redis_errors:increase5m{job=~"$job"}', '{{job}}']],
        },
        {
          title: 'Duration of operations',
          description: 'P95 by tier and outcome.',
          unit: 'seconds',
          queries: [
            [
              'histogram_quantile(0.95, sum by (tier, outcome, le) (rate(cache_operation_seconds_bucket{job=~"$job"}[5m])))',
              '{{tier}} {{outcome}}',
            ],
          ],
        },
        {
          title: 'Time to live',
          description:
            'Given to values as they are stored, after jitter: spread out, so that they do not expire together.',
          unit: 'seconds',
          queries: [
            [
              'histogram_quantile(0.5, sum by (tier, le) (rate(cache_ttl_seconds_bucket{job=~"$job"}[5m])))',
              'P50 {{tier}}',
            ],
            [
              'histogram_quantile(0.95, sum by (tier, le) (rate(cache_ttl_seconds_bucket{job=~"$job"}[5m])))',
              'P95 {{tier}}',
            ],
          ],
        },
      ],
    },
  ],
};
