import type { DashboardSpec } from './panels.js';

export const database: DashboardSpec = {
  uid: 'sparkle-database',
  title: 'Sparkle / Database',
  description: 'Pool, statements, transactions and replicas.',
  rows: [
    {
      title: 'Pool',
      panels: [
        {
          title: 'Connections in use',
          description: 'Of each process, with the size of its pool.',
          unit: 'count',
          queries: [
            ['db_pool_checked_out{job=~"$job"}', '{{pool}} {{instance}}'],
            ['max by (pool) (db_pool_size{job=~"$job"})', 'size of {{pool}}'],
          ],
        },
        {
          title: 'Callers that wait',
          description: 'For a connection.',
          unit: 'count',
          queries: [['db_pool_waiting{job=~"$job"}', '{{pool}} {{instance}}']],
        },
        {
          title: 'Connections beyond the size',
          description: 'Open as overflow.',
          unit: 'count',
          queries: [['db_pool_overflow{job=~"$job"}', '{{pool}} {{instance}}']],
        },
        {
          title: 'Time-outs',
          description: 'Callers that got no connection, within 5 minutes.',
          unit: 'count',
          queries: [['job_pool:db_pool_timeouts:increase5m{job=~"$job"}', '{{pool}} {{job}}']],
        },
        {
          title: 'Time held',
          description: 'From checkout to release.',
          unit: 'seconds',
          queries: [
            [
              'histogram_quantile(0.5, sum by (pool, le) (rate(db_pool_hold_seconds_bucket{job=~"$job"}[5m])))',
              'P50 {{pool}}',
            ],
            [
              'histogram_quantile(0.99, sum by (pool, le) (rate(db_pool_hold_seconds_bucket{job=~"$job"}[5m])))',
              'P99 {{pool}}',
            ],
          ],
        },
        {
          title: 'Nearly exhausted, or held long',
          description: 'Events within 15 minutes.',
          unit: 'count',
          queries: [
            ['sum by (pool) (increase(db_pool_saturated_total{job=~"$job"}[15m]))', 'saturated {{pool}}'],
            ['sum by (pool) (increase(db_pool_long_holds_total{job=~"$job"}[15m]))', 'held long {{pool}}'],
          ],
        },
      ],
    },
    {
      title: 'Statements and transactions',
      panels: [
        {
          title: 'Duration of statements',
          description: 'P95; the limit is 0.5 s.',
          unit: 'seconds',
          queries: [['job:db_query_seconds:p95_5m{job=~"$job"}', '{{job}}']],
        },
        {
          title: 'Statements',
          description: 'By outcome.',
          unit: 'perSecond',
          kind: 'stacked',
          queries: [
            ['sum by (outcome) (rate(db_query_seconds_count{job=~"$job"}[$__rate_interval]))', '{{outcome}}'],
          ],
        },
        {
          title: 'Failed statements',
          description: 'The limit is 1 %.',
          unit: 'ratio',
          queries: [['job:db_queries_failed:ratio_rate5m{job=~"$job"}', '{{job}}']],
        },
        {
          title: 'Transactions',
          description: 'By how they ended; retry: collided and began again.',
          unit: 'perSecond',
          kind: 'stacked',
          queries: [
            [
              'sum by (outcome) (rate(db_transaction_seconds_count{job=~"$job"}[$__rate_interval]))',
              '{{outcome}}',
            ],
          ],
        },
        {
          title: 'Duration of transactions',
          description: 'P95 by how they ended.',
          unit: 'seconds',
          queries: [
            [
              'histogram_quantile(0.95, sum by (outcome, le) (rate(db_transaction_seconds_bucket{job=~"$job"}[5m])))',
              '{{outcome}}',
            ],
          ],
        },
        {
          title: 'Repeated statements',
          description: 'Requests that sent one statement suspiciously often, where that is looked for.',
          unit: 'perSecond',
          queries: [
            ['sum by (job) (rate(db_repeated_queries_total{job=~"$job"}[$__rate_interval]))', '{{job}}'],
          ],
        },
      ],
    },
    {
      title: 'Replicas',
      panels: [
        {
          title: 'Lag',
          description: 'When last asked; the limit is 10 s.',
          unit: 'seconds',
          width: 12,
          queries: [['max by (replica) (db_replica_lag_seconds{job=~"$job"})', '{{replica}}']],
        },
        {
          title: 'Reads',
          description: 'By what became of them; behind: served by the primary instead.',
          unit: 'perSecond',
          kind: 'stacked',
          width: 12,
          queries: [
            [
              'sum by (replica, outcome) (rate(db_replica_reads_total{job=~"$job"}[$__rate_interval]))',
              '{{replica}} {{outcome}}',
            ],
          ],
        },
      ],
    },
  ],
};
