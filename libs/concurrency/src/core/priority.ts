/** The classes of work, most urgent first. One vocabulary for the scheduler of a process and for BullMQ. */
export const PRIORITIES = ['high', 'medium', 'low'] as const;

export type Priority = (typeof PRIORITIES)[number];

/**
 * The `priority` of a BullMQ job of each class: lower numbers go first. None is 0, because jobs without a
 * priority overtake every job that has one. BullMQ's order is strict: ageing is the scheduler's alone.
 */
export const JOB_PRIORITY: Readonly<Record<Priority, number>> = { high: 1, medium: 2, low: 3 };
