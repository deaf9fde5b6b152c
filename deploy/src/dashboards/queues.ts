import type { DashboardSpec } from './panels.js';

export const queues: DashboardSpec = {
  uid: 'sparkle-queues',
  title: 'Sparkle / Queues and workers',
  description: 'Jobs that wait, run, fail and are given up, and the repeated jobs.',
  rows: [
    {
      title: 'Queues',
      panels: [
        {
          title: 'Jobs that wait',
          description: 'By queue; the limit is 1000.',
          unit: 'count',
          queries: [['queue_state:queue_depth:max{state="waiting"}', '{{queue}}']],
        },
        {
          title: 'Jobs that run or are delayed',
          description: 'By queue.',
          unit: 'count',
          queries: [['queue_state:queue_depth:max{state=~"active|delayed"}', '{{queue}} {{state}}']],
        },
        {
          title: 'Dead letters',
          description: 'Jobs that were given up and wait for a decision.',
          unit: 'count',
          queries: [['queue_state:queue_depth:max{state="failed"}', '{{queue}}']],
        },
        {
          title: 'Age as attempts begin',
          description: 'P95; the limit is 5 minutes.',
          unit: 'seconds',
          queries: [['queue:job_age_seconds:p95_5m', '{{queue}}']],
        },
        {
          title: 'Attempts by outcome',
          description: 'stalled: the worker died.',
          unit: 'perSecond',
          kind: 'stacked',
          queries: [
            [
              'sum by (queue, outcome) (rate(job_attempts_total{job=~"$job"}[$__rate_interval]))',
              '{{queue}} {{outcome}}',
            ],
          ],
        },
        {
          title: 'Attempts that fail for good',
          description: 'The limit is 5 %.',
          unit: 'ratio',
          queries: [['queue:jobs_failed:ratio_rate5m', '{{queue}}']],
        },
        {
          title: 'Attempts',
          description: 'Per second, by queue.',
          unit: 'perSecond',
          queries: [['queue:job_attempts:rate5m', '{{queue}}']],
        },
        {
          title: 'Duration of attempts',
          description: 'P95 by queue.',
          unit: 'seconds',
          queries: [
            [
              'histogram_quantile(0.95, sum by (queue, le) (rate(job_seconds_bucket{job=~"$job"}[5m])))',
              '{{queue}}',
            ],
          ],
        },
        {
          title: 'Since repeated jobs last succeeded',
          description:
            'By schedule. Limits: half an hour, 3 hours for partitions and turns, 2 days for statistics.',
          unit: 'seconds',
          queries: [
            ['time() - max by (schedule) (scheduled_job_last_success_timestamp_seconds)', '{{schedule}}'],
          ],
        },
      ],
    },
  ],
};
