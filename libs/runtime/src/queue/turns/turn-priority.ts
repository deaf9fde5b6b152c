import { JOB_PRIORITY, PRIORITIES, type Priority } from '@sparkle/concurrency';

/** BullMQ's priorities end at 2²¹ − 1; each class of work has a third of them. */
export const TURNS_PER_PRIORITY = 699_050;

/**
 * What BullMQ orders waiting jobs by: classes of work in their strict order, and turns within a class. Turns past
 * the last that fits are served in the order of their arrival.
 */
export function bullPriority(priority: Priority, turn: number): number {
  const before = (JOB_PRIORITY[priority] - JOB_PRIORITY.high) * TURNS_PER_PRIORITY;
  return 1 + before + Math.min(turn, TURNS_PER_PRIORITY - 1);
}

/** The class and turn of a job; `undefined` for jobs that wait without one. */
export function turnOf(bullPriority: number): { priority: Priority; turn: number } | undefined {
  if (bullPriority < 1) return undefined;
  const priority = PRIORITIES[Math.floor((bullPriority - 1) / TURNS_PER_PRIORITY)];
  return priority && { priority, turn: (bullPriority - 1) % TURNS_PER_PRIORITY };
}
