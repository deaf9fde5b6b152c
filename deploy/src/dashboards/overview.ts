import type { DashboardSpec } from './panels.js';

/** How the product does as a whole: what its users feel, and what is wrong now. */
export const overview: DashboardSpec = {
  uid: 'sparkle-overview',
  title: 'Sparkle / Overview',
  description: 'Latency, throughput, errors and score of every process, and the alerts that fire.',
  rows: [
    {
      title: 'Now',
      panels: [
        {
          title: 'Score',
          description: 'Performance score of the worst process; healthy from 70.',
          unit: 'count',
          kind: 'number',
          queries: [['min by (job) (performance_score{job=~"$job"})', '{{job}}']],
          limits: { yellow: 90, red: 70 },
        },
        {
          title: 'Requests per second',
          description: 'Requests finished, over 10 s.',
          unit: 'requestsPerSecond',
          kind: 'number',
          queries: [['sum by (job) (requests_per_second{job=~"$job",window="10s"})', '{{job}}']],
        },
        {
          title: 'P95',
          description: 'Latency within the sliding window of the slowest process; the limit is 2 s.',
          unit: 'seconds',
          kind: 'number',
          queries: [
            ['max by (job) (request_latency_quantile_seconds{job=~"$job",percentile="95"})', '{{job}}'],
          ],
          limits: { yellow: 1, red: 2 },
        },
        {
          title: 'Errors',
          description: 'Share of requests that end in 5xx, over 5 minutes; the limit is 1 %.',
          unit: 'ratio',
          kind: 'number',
          queries: [['job:requests_failed:ratio_rate5m{job=~"$job"}', '{{job}}']],
          limits: { yellow: 0.005, red: 0.01 },
        },
        {
          title: 'Processes that answer',
          description: 'Targets of Prometheus that could be scraped.',
          unit: 'count',
          kind: 'number',
          queries: [['sum by (job) (up{job=~"$job"})', '{{job}}']],
        },
        {
          title: 'Dependencies that are down',
          description: 'As seen by any process: database, Redis, queue.',
          unit: 'count',
          kind: 'number',
          queries: [['sum by (job) (1 - dependency_up{job=~"$job"})', '{{job}}']],
          limits: { yellow: 0.5, red: 1 },
        },
      ],
    },
    {
      title: 'Requests',
      panels: [
        {
          title: 'Latency',
          description: 'Percentiles from the buckets of all processes; 5 s is the largest they can show.',
          unit: 'seconds',
          queries: [
            ['job:request_latency_seconds:p50_5m{job=~"$job"}', 'P50 {{job}}'],
            ['job:request_latency_seconds:p95_5m{job=~"$job"}', 'P95 {{job}}'],
          ],
        },
        {
          title: 'P99 of each process',
          description: 'Within 1 % of the exact percentile over the sliding window.',
          unit: 'seconds',
          queries: [['request_latency_quantile_seconds{job=~"$job",percentile="99"}', '{{instance}}']],
        },
        {
          title: 'Requests over 5 s',
          description: 'P99 is above 5 s where this is above 1 %.',
          unit: 'ratio',
          queries: [['job:requests_over_5s:ratio_rate5m{job=~"$job"}', '{{job}}']],
        },
        {
          title: 'Throughput by transport and status',
          description: 'Responses that are streams are counted apart.',
          unit: 'requestsPerSecond',
          kind: 'stacked',
          queries: [
            [
              'sum by (transport, status) (rate(request_latency_seconds_count{job=~"$job"}[$__rate_interval]))',
              '{{transport}} {{status}}',
            ],
          ],
        },
        {
          title: 'Requests at once',
          description: 'Being answered now, streams included.',
          unit: 'count',
          queries: [
            ['sum by (job) (requests_active{job=~"$job"})', '{{job}}'],
            ['max by (job) (requests_active_max{job=~"$job"})', 'most ever in one process of {{job}}'],
          ],
        },
        {
          title: 'P95 by route',
          description: 'The ten slowest routes.',
          unit: 'seconds',
          queries: [
            [
              'topk(10, histogram_quantile(0.95, sum by (method, route, le) (rate(request_latency_seconds_bucket{job=~"$job"}[5m]))))',
              '{{method}} {{route}}',
            ],
          ],
        },
      ],
    },
    {
      title: 'Errors',
      panels: [
        {
          title: 'Errors by type',
          description: 'Requests answered with 4xx or 5xx, by error code.',
          unit: 'requestsPerSecond',
          kind: 'stacked',
          queries: [
            [
              'topk(10, sum by (type, status) (rate(request_errors_total{job=~"$job"}[$__rate_interval])))',
              '{{status}} {{type}}',
            ],
          ],
        },
        {
          title: 'Clients that leave early',
          description: 'Share of requests whose client went before the response was complete.',
          unit: 'ratio',
          queries: [['job:requests_aborted:ratio_rate5m{job=~"$job"}', '{{job}}']],
        },
        {
          title: 'Errors of each process',
          description: 'Share of requests that ended in 5xx within its sliding window.',
          unit: 'ratio',
          queries: [['request_error_ratio{job=~"$job"}', '{{instance}}']],
        },
        {
          title: 'Streams open',
          description: 'How long streamed responses stay open.',
          unit: 'seconds',
          queries: [
            [
              'histogram_quantile(0.5, sum by (transport, le) (rate(request_stream_seconds_bucket{job=~"$job"}[5m])))',
              'P50 {{transport}}',
            ],
            [
              'histogram_quantile(0.95, sum by (transport, le) (rate(request_stream_seconds_bucket{job=~"$job"}[5m])))',
              'P95 {{transport}}',
            ],
          ],
        },
        {
          title: 'Alerts',
          description: 'Pending and firing. What to do about each is in docs/guides/alerts.md.',
          unit: 'count',
          kind: 'table',
          width: 24,
          queries: [
            ['sum by (alertname, alertstate, severity) (ALERTS{alertname=~"Sparkle.*"})', '{{alertname}}'],
          ],
        },
      ],
    },
  ],
};
