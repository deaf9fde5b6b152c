import type { DashboardSpec } from './panels.js';

export const models: DashboardSpec = {
  uid: 'sparkle-models',
  title: 'Sparkle / Models and cost',
  description: 'Calls of chat and embedding models, how they end, and what they cost whom.',
  rows: [
    {
      title: 'Calls',
      panels: [
        {
          title: 'Calls by outcome',
          description: 'breaker_open: refused at once because the model fails.',
          unit: 'perSecond',
          kind: 'stacked',
          queries: [
            [
              'sum by (model, operation, outcome) (rate(model_calls_total{job=~"$job"}[$__rate_interval]))',
              '{{model}} {{operation}} {{outcome}}',
            ],
          ],
        },
        {
          title: 'Failures',
          description: 'Of the calls that callers did not cancel; the limit is 10 %.',
          unit: 'ratio',
          queries: [['job_model:model_calls_failed:ratio_rate5m{job=~"$job"}', '{{model}} {{job}}']],
        },
        {
          title: 'Duration of successful calls',
          description: 'P95.',
          unit: 'seconds',
          queries: [['job_model:model_call_seconds:p95_5m{job=~"$job"}', '{{model}} {{job}}']],
        },
        {
          title: 'Refused by an open breaker',
          description: 'Within 5 minutes.',
          unit: 'count',
          queries: [['job_model:model_breaker_rejections:increase5m{job=~"$job"}', '{{model}} {{job}}']],
        },
        {
          title: 'Tools',
          description: 'Calls made while answering, by what became of them.',
          unit: 'perSecond',
          kind: 'stacked',
          queries: [
            [
              'sum by (tool, outcome) (rate(tool_calls_total{job=~"$job"}[$__rate_interval]))',
              '{{tool}} {{outcome}}',
            ],
          ],
        },
        {
          title: 'Duration of tools',
          description: 'P95.',
          unit: 'seconds',
          queries: [
            [
              'histogram_quantile(0.95, sum by (tool, le) (rate(tool_call_seconds_bucket{job=~"$job"}[5m])))',
              '{{tool}}',
            ],
          ],
        },
      ],
    },
    {
      title: 'Tokens and cost',
      panels: [
        {
          title: 'Tokens by model',
          description: 'Sent and received, per second.',
          unit: 'perSecond',
          kind: 'stacked',
          queries: [
            [
              'sum by (model, direction) (rate(model_tokens_total{job=~"$job"}[$__rate_interval]))',
              '{{model}} {{direction}}',
            ],
          ],
        },
        {
          title: 'Tokens by tenant',
          description: 'Within an hour; the ten tenants with most.',
          unit: 'count',
          queries: [
            ['topk(10, sum by (tenant) (increase(model_tokens_total{job=~"$job"}[1h])))', '{{tenant}}'],
          ],
        },
        {
          title: 'Cost by tenant',
          description: 'Within an hour, where the price is known; the ten tenants with most.',
          unit: 'usd',
          queries: [
            ['topk(10, sum by (tenant) (increase(model_cost_usd_total{job=~"$job"}[1h])))', '{{tenant}}'],
          ],
        },
        {
          title: 'Cost within a day',
          description: 'By model, where the price is known.',
          unit: 'usd',
          kind: 'number',
          width: 8,
          queries: [['sum by (model) (increase(model_cost_usd_total{job=~"$job"}[1d]))', '{{model}}']],
        },
        {
          title: 'Tokens of tool results by tenant',
          description: 'Within an hour: what tools told models.',
          unit: 'count',
          queries: [
            ['topk(10, sum by (tenant) (increase(tool_result_tokens_total{job=~"$job"}[1h])))', '{{tenant}}'],
          ],
        },
      ],
    },
  ],
};
