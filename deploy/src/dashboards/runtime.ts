import type { DashboardSpec } from './panels.js';

export const runtime: DashboardSpec = {
  uid: 'sparkle-runtime',
  title: 'Sparkle / Runtime and resources',
  description:
    'CPU, memory, disks, event loop and garbage collection of each process, and what metrics cost.',
  rows: [
    {
      title: 'Resources',
      panels: [
        {
          title: 'CPU',
          description: 'Share of what the container, or else the host, may use; the limit is 70 %.',
          unit: 'ratio',
          queries: [['system_cpu_usage_ratio{job=~"$job"}', '{{instance}}']],
        },
        {
          title: 'Memory',
          description: 'Share of what the container, or else the host, may use; the limit is 80 %.',
          unit: 'ratio',
          max: 1,
          queries: [['system_memory_usage_ratio{job=~"$job"}', '{{instance}}']],
        },
        {
          title: 'Memory in bytes',
          description: 'Used, the limit, and where the kernel begins to slow the container down.',
          unit: 'bytes',
          queries: [
            ['system_memory_used_bytes{job=~"$job"}', 'used {{instance}}'],
            ['system_memory_limit_bytes{job=~"$job"}', 'limit {{instance}}'],
            ['system_memory_high_bytes{job=~"$job"}', 'high {{instance}}'],
          ],
        },
        {
          title: 'Disks',
          description: 'Used share of the file system that holds a path; the limit is 85 %.',
          unit: 'ratio',
          max: 1,
          queries: [['system_disk_usage_ratio{job=~"$job"}', '{{path}} {{instance}}']],
        },
        {
          title: 'Free on disks',
          description: 'What an unprivileged process can still write.',
          unit: 'bytes',
          queries: [['system_disk_free_bytes{job=~"$job"}', '{{path}} {{instance}}']],
        },
        {
          title: 'CPU of the process',
          description: 'Seconds per second, user and system together.',
          unit: 'seconds',
          queries: [['rate(process_cpu_seconds_total{job=~"$job"}[$__rate_interval])', '{{instance}}']],
        },
        {
          title: 'Killed for lack of memory',
          description: 'Processes of the container, within an hour.',
          unit: 'count',
          queries: [['increase(system_oom_kills_total{job=~"$job"}[1h])', '{{instance}}']],
        },
        {
          title: 'Held back by the CPU limit',
          description: 'Seconds per second; the limit is 0.25.',
          unit: 'seconds',
          queries: [
            ['rate(system_cpu_throttled_seconds_total{job=~"$job"}[$__rate_interval])', '{{instance}}'],
          ],
        },
        {
          title: 'Load average',
          description: 'Of the host, with the cores that may be used.',
          unit: 'count',
          queries: [
            ['system_load_average{job=~"$job",window="1m"}', '{{instance}}'],
            ['system_cpu_limit_cores{job=~"$job"}', 'cores {{instance}}'],
          ],
        },
        {
          title: 'File descriptors',
          description: 'Open, of those a process may open; the limit is 80 %.',
          unit: 'ratio',
          queries: [['process_open_fds{job=~"$job"} / process_max_fds{job=~"$job"}', '{{instance}}']],
        },
      ],
    },
    {
      title: 'Node.js',
      panels: [
        {
          title: 'Event-loop delay',
          description: 'P99 since the previous scrape; the limit is 200 ms.',
          unit: 'seconds',
          queries: [['nodejs_eventloop_delay_seconds{job=~"$job",percentile="99"}', '{{instance}}']],
        },
        {
          title: 'Event-loop utilisation',
          description: 'Share of time the loop was busy.',
          unit: 'ratio',
          max: 1,
          queries: [['nodejs_eventloop_utilization_ratio{job=~"$job"}', '{{instance}}']],
        },
        {
          title: 'Garbage collection',
          description: 'Seconds per second, by kind; the limit is 0.1 in all.',
          unit: 'seconds',
          kind: 'stacked',
          queries: [
            [
              'sum by (instance, kind) (rate(nodejs_gc_duration_seconds_sum{job=~"$job"}[$__rate_interval]))',
              '{{kind}} {{instance}}',
            ],
          ],
        },
        {
          title: 'Memory of the process',
          description: 'Resident, and the heap with its limit.',
          unit: 'bytes',
          queries: [
            ['process_resident_memory_bytes{job=~"$job"}', 'resident {{instance}}'],
            ['nodejs_heap_size_used_bytes{job=~"$job"}', 'heap {{instance}}'],
            ['nodejs_heap_size_limit_bytes{job=~"$job"}', 'heap limit {{instance}}'],
          ],
        },
        {
          title: 'Heap by space',
          description: 'Used, and what all spaces together take.',
          unit: 'bytes',
          queries: [
            ['sum by (space) (nodejs_heap_space_used_bytes{job=~"$job"})', '{{space}}'],
            ['sum by (job) (nodejs_heap_space_size_bytes{job=~"$job"})', 'size in {{job}}'],
          ],
        },
        {
          title: 'Memory outside the heap',
          description: 'Of C++ objects bound to JavaScript objects, buffers among them.',
          unit: 'bytes',
          queries: [
            ['nodejs_external_memory_bytes{job=~"$job"}', 'external {{instance}}'],
            ['nodejs_array_buffers_bytes{job=~"$job"}', 'buffers {{instance}}'],
            ['nodejs_heap_size_total_bytes{job=~"$job"}', 'heap as allocated {{instance}}'],
          ],
        },
        {
          title: 'Handles and threads',
          description: 'What keeps the event loop alive, by type, and threads of the system.',
          unit: 'count',
          queries: [
            ['sum by (type) (nodejs_active_resources{job=~"$job"})', '{{type}}'],
            ['process_threads{job=~"$job"}', 'threads {{instance}}'],
          ],
        },
      ],
    },
    {
      title: 'Processes and their figures',
      panels: [
        {
          title: 'Running for',
          description: 'Since the start of each process.',
          unit: 'seconds',
          kind: 'table',
          queries: [
            ['time() - max by (job, instance) (process_start_time_seconds{job=~"$job"})', '{{instance}}'],
          ],
        },
        {
          title: 'What runs',
          description: 'Version and revision of each process.',
          unit: 'count',
          kind: 'table',
          queries: [
            ['max by (job, instance, version, revision, node) (build_info{job=~"$job"})', '{{instance}}'],
          ],
        },
        {
          title: 'Label sets',
          description: 'Held, and at most.',
          unit: 'count',
          queries: [
            ['metrics_label_sets{job=~"$job"}', '{{instance}}'],
            ['max by (job) (metrics_label_sets_max{job=~"$job"})', 'most in {{job}}'],
          ],
        },
        {
          title: 'Counted under other',
          description: 'Tenants and labels beyond their bounds.',
          unit: 'perSecond',
          queries: [
            [
              'sum by (metric, reason) (rate(metrics_folded_total{job=~"$job"}[$__rate_interval]))',
              '{{metric}} {{reason}}',
            ],
          ],
        },
        {
          title: 'Spans exported',
          description: 'That the collector has accepted.',
          unit: 'perSecond',
          queries: [['rate(trace_spans_exported_total{job=~"$job"}[$__rate_interval])', '{{instance}}']],
        },
        {
          title: 'Lost figures and traces',
          description:
            'Events that could not be counted, spans that were dropped, figures of the fleet not shared.',
          unit: 'perSecond',
          queries: [
            [
              'sum by (channel) (rate(metrics_events_rejected_total{job=~"$job"}[$__rate_interval]))',
              'events {{channel}}',
            ],
            [
              'sum by (reason) (rate(trace_spans_dropped_total{job=~"$job"}[$__rate_interval]))',
              'spans {{reason}}',
            ],
            [
              'sum by (operation) (rate(fleet_store_failures_total{job=~"$job"}[$__rate_interval]))',
              'fleet {{operation}}',
            ],
          ],
        },
      ],
    },
  ],
};
