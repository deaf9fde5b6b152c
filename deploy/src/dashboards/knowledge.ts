import type { DashboardSpec } from './panels.js';

export const knowledge: DashboardSpec = {
  uid: 'sparkle-knowledge',
  title: 'Sparkle / Retrieval, ingestion, conversations',
  description: 'What answers are made of.',
  rows: [
    {
      title: 'Retrieval',
      panels: [
        {
          title: 'Duration of retrievals',
          description: 'By strategy; the aim is 0.12 s.',
          unit: 'seconds',
          queries: [
            [
              'histogram_quantile(0.5, sum by (strategy, le) (rate(retrieval_seconds_bucket{job=~"$job"}[5m])))',
              'P50 {{strategy}}',
            ],
            [
              'histogram_quantile(0.95, sum by (strategy, le) (rate(retrieval_seconds_bucket{job=~"$job"}[5m])))',
              'P95 {{strategy}}',
            ],
          ],
        },
        {
          title: 'Retrievals',
          description: 'By strategy.',
          unit: 'perSecond',
          kind: 'stacked',
          queries: [
            ['sum by (strategy) (rate(retrievals_total{job=~"$job"}[$__rate_interval]))', '{{strategy}}'],
          ],
        },
        {
          title: 'Tokens of the context',
          description: 'P50 and P95 by strategy.',
          unit: 'count',
          queries: [
            [
              'histogram_quantile(0.5, sum by (strategy, le) (rate(retrieval_context_tokens_bucket{job=~"$job"}[5m])))',
              'P50 {{strategy}}',
            ],
            [
              'histogram_quantile(0.95, sum by (strategy, le) (rate(retrieval_context_tokens_bucket{job=~"$job"}[5m])))',
              'P95 {{strategy}}',
            ],
          ],
        },
        {
          title: 'Passages and paths',
          description: 'On average, per retrieval.',
          unit: 'count',
          width: 24,
          queries: [
            [
              'sum by (strategy) (rate(retrieval_chunks_sum{job=~"$job"}[5m])) / sum by (strategy) (rate(retrieval_chunks_count{job=~"$job"}[5m]))',
              'passages {{strategy}}',
            ],
            [
              'sum by (strategy) (rate(retrieval_paths_sum{job=~"$job"}[5m])) / sum by (strategy) (rate(retrieval_paths_count{job=~"$job"}[5m]))',
              'paths {{strategy}}',
            ],
          ],
        },
      ],
    },
    {
      title: 'Ingestion',
      panels: [
        {
          title: 'Steps',
          description: 'Finished, by outcome.',
          unit: 'perSecond',
          kind: 'stacked',
          width: 12,
          queries: [
            [
              'sum by (step, outcome) (rate(ingestion_steps_total{job=~"$job"}[$__rate_interval]))',
              '{{step}} {{outcome}}',
            ],
          ],
        },
        {
          title: 'Duration of steps',
          description: 'P95.',
          unit: 'seconds',
          width: 12,
          queries: [
            [
              'histogram_quantile(0.95, sum by (step, le) (rate(ingestion_step_seconds_bucket{job=~"$job"}[5m])))',
              '{{step}}',
            ],
          ],
        },
      ],
    },
    {
      title: 'Conversations',
      panels: [
        {
          title: 'Turns by strategy',
          description: 'How much of the conversation the model was shown.',
          unit: 'perSecond',
          kind: 'stacked',
          queries: [
            [
              'sum by (strategy) (rate(conversation_events_total{job=~"$job",kind="turn"}[$__rate_interval]))',
              '{{strategy}}',
            ],
          ],
        },
        {
          title: 'Turns and summaries that do not succeed',
          description: 'Degraded: a makeshift answer or summary.',
          unit: 'perSecond',
          queries: [
            [
              'sum by (kind, outcome) (rate(conversation_events_total{job=~"$job",outcome!="success"}[$__rate_interval]))',
              '{{kind}} {{outcome}}',
            ],
          ],
        },
        {
          title: 'Duration of turns and summaries',
          description: 'P95.',
          unit: 'seconds',
          queries: [
            [
              'histogram_quantile(0.95, sum by (kind, le) (rate(conversation_seconds_bucket{job=~"$job"}[5m])))',
              '{{kind}}',
            ],
          ],
        },
      ],
    },
  ],
};
