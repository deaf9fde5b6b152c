import { z } from 'zod';

const markSchema = z.strictObject({
  sparkle: z.literal('partition'),
  /** The partitioned table. */
  of: z.string(),
  /** Do not retire it before this time (ISO 8601): it was restored to be read. */
  keepUntil: z.string().optional(),
  /** It was taken out; its rows belong into this archive, and then it goes. */
  retired: z
    .strictObject({
      partition: z.string(),
      from: z.string(),
      to: z.string(),
      archive: z.string(),
    })
    .optional(),
});

/**
 * What is known of a partition beyond its bounds. It stands in the table's comment, since that changes in
 * the same transaction as the table itself: after a crash it tells what remains to be done.
 */
export type PartitionMark = z.output<typeof markSchema>;

/** Reads a table's comment; `undefined` when it is not a mark of ours. */
export function parseMark(comment: string | null): PartitionMark | undefined {
  if (!comment?.startsWith('{')) return undefined;
  try {
    return markSchema.safeParse(JSON.parse(comment)).data;
  } catch {
    return undefined;
  }
}
