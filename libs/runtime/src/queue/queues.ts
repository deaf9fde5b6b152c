import { parseTenantId, type TenantId } from '@sparkle/contracts';
import { z } from 'zod';

const tenantId = z.string().transform((value): TenantId => parseTenantId(value));

/** The queues and what a job of each carries. Every payload names its tenant, except the scheduled sweeps. */
export const QUEUES = {
  ingestion: z.object({ tenantId, jobId: z.uuid(), kind: z.literal('ingestion'), subjectId: z.uuid() }),
  summaries: z.object({ tenantId, conversationId: z.uuid(), upToSeq: z.int().min(1) }),
  /** Finds and summarises a tenant's communities, at the corpus version it had or a later one. */
  communities: z.object({ tenantId, version: z.int().min(0) }),
  /** Looks for conversations that want a summary, or communities that are behind, over all tenants. */
  warmup: z.object({ task: z.enum(['summaries', 'communities']) }),
  /** Looks after what no request looks after, over all tenants. */
  maintenance: z.object({
    task: z.enum(['lost-jobs', 'partitions', 'expired-answers', 'statistics', 'turns']),
  }),
} as const;

export type QueueName = keyof typeof QUEUES;
export type JobPayload<Name extends QueueName> = z.output<(typeof QUEUES)[Name]>;

export const QUEUE_NAMES = Object.keys(QUEUES) as QueueName[];

/** Queues whose jobs belong to a tenant: these take turns. */
export type TenantQueueName = {
  [Name in QueueName]: JobPayload<Name> extends { tenantId: TenantId } ? Name : never;
}[QueueName];

export const TENANT_QUEUE_NAMES = QUEUE_NAMES.filter((name): name is TenantQueueName =>
  Object.hasOwn(QUEUES[name].shape, 'tenantId'),
);
