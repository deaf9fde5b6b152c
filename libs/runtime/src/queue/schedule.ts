import type { JobPayload } from './queues.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

type ScheduledQueue = 'warmup' | 'maintenance';

/** A job that comes again and again, once for all processes. */
export interface ScheduledJob<Queue extends ScheduledQueue = ScheduledQueue> {
  readonly queue: Queue;
  readonly payload: JobPayload<Queue>;
  readonly everyMs: number;
}

const scheduled = <Queue extends ScheduledQueue>(
  queue: Queue,
  payload: JobPayload<Queue>,
  everyMs: number,
): ScheduledJob<Queue> => ({ queue, payload, everyMs });

/** Every repeated job of the product, by the name it has in metrics. Each may run twice or late without harm. */
export const SCHEDULE = {
  'lost-jobs': scheduled('maintenance', { task: 'lost-jobs' }, MINUTE_MS),
  'expired-answers': scheduled('maintenance', { task: 'expired-answers' }, 10 * MINUTE_MS),
  partitions: scheduled('maintenance', { task: 'partitions' }, 10 * MINUTE_MS),
  turns: scheduled('maintenance', { task: 'turns' }, HOUR_MS),
  statistics: scheduled('maintenance', { task: 'statistics' }, 24 * HOUR_MS),
  'summaries-warmup': scheduled('warmup', { task: 'summaries' }, 5 * MINUTE_MS),
  'communities-warmup': scheduled('warmup', { task: 'communities' }, 5 * MINUTE_MS),
} as const satisfies Record<string, ScheduledJob>;

/** The name of the schedule that a repeated job came from. */
export type ScheduleName = keyof typeof SCHEDULE;

export const SCHEDULE_NAMES = Object.keys(SCHEDULE) as ScheduleName[];
