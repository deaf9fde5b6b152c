import type { DashboardSpec } from './panels.js';

export const limitsAndTenants: DashboardSpec = {
  uid: 'sparkle-limits-tenants',
  title: 'Sparkle / Limits and tenants',
  description: 'Who is admitted, who is refused and why, and what each tenant takes.',
  rows: [
    {
      title: 'Limits',
      panels: [
        {
          title: 'Decisions',
          description: 'Of rate limits, budgets and semaphores.',
          unit: 'perSecond',
          kind: 'stacked',
          queries: [
            [
              'sum by (kind, outcome) (rate(limit_decisions_total{job=~"$job"}[$__rate_interval]))',
              '{{kind}} {{outcome}}',
            ],
          ],
        },
        {
          title: 'Refused by dimension',
          description: 'Which limit was exhausted.',
          unit: 'perSecond',
          kind: 'stacked',
          queries: [
            [
              'sum by (limiter, dimension) (rate(limit_hits_total{job=~"$job"}[$__rate_interval]))',
              '{{limiter}} {{dimension}}',
            ],
          ],
        },
        {
          title: 'Decisions without a store',
          description: 'Within 5 minutes: made by the policy for outages.',
          unit: 'count',
          queries: [['job_limiter:limit_store_failures:increase5m{job=~"$job"}', '{{limiter}} {{job}}']],
        },
        {
          title: 'Wait for a permit',
          description: 'P95 by limiter.',
          unit: 'seconds',
          queries: [
            [
              'histogram_quantile(0.95, sum by (limiter, le) (rate(limit_wait_seconds_bucket{job=~"$job"}[5m])))',
              '{{limiter}}',
            ],
          ],
        },
        {
          title: 'Permits that time out or are lost',
          description: 'By limiter.',
          unit: 'perSecond',
          queries: [
            [
              'sum by (limiter, outcome) (rate(limit_decisions_total{job=~"$job",kind="permit",outcome=~"timeout|lost"}[$__rate_interval]))',
              '{{limiter}} {{outcome}}',
            ],
          ],
        },
      ],
    },
    {
      title: 'Tenants',
      panels: [
        {
          title: 'Requests by tenant',
          description: 'The ten busiest.',
          unit: 'requestsPerSecond',
          kind: 'stacked',
          queries: [
            [
              'topk(10, sum by (tenant) (rate(tenant_requests_total{job=~"$job"}[$__rate_interval])))',
              '{{tenant}}',
            ],
          ],
        },
        {
          title: 'Errors by tenant',
          description: 'Requests that end in 5xx.',
          unit: 'requestsPerSecond',
          queries: [
            [
              'topk(10, sum by (tenant) (rate(tenant_requests_total{job=~"$job",status="5xx"}[$__rate_interval])))',
              '{{tenant}}',
            ],
          ],
        },
        {
          title: 'Refused by tenant',
          description: 'What limits refuse.',
          unit: 'perSecond',
          queries: [
            [
              'topk(10, sum by (tenant) (rate(limit_decisions_total{job=~"$job",outcome="limited"}[$__rate_interval])))',
              '{{tenant}}',
            ],
          ],
        },
        {
          title: 'Statements by tenant',
          description: 'Of the database; the ten tenants with most.',
          unit: 'perSecond',
          kind: 'stacked',
          queries: [
            [
              'topk(10, sum by (tenant) (rate(db_queries_total{job=~"$job"}[$__rate_interval])))',
              '{{tenant}}',
            ],
          ],
        },
        {
          title: 'Jobs by tenant',
          description: 'Attempts of queued jobs.',
          unit: 'perSecond',
          kind: 'stacked',
          queries: [
            [
              'topk(10, sum by (tenant) (rate(job_attempts_total{job=~"$job"}[$__rate_interval])))',
              '{{tenant}}',
            ],
          ],
        },
        {
          title: 'Tenants that gave their series up',
          description: 'To one with more traffic; its figures are then in "other".',
          unit: 'perSecond',
          queries: [
            ['sum by (job) (rate(metrics_tenant_changes_total{job=~"$job"}[$__rate_interval]))', '{{job}}'],
          ],
        },
      ],
    },
  ],
};
