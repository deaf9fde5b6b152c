import { parseTenantId, type TenantId } from '@sparkle/contracts';
import { z } from 'zod';

const tenantId = z.string().transform((value): TenantId => parseTenantId(value));

/** The queues and what a job of each carries. Every payload names its tenant, except the scheduled sweeps. */
export const QUEUES = {
  ingestion: z.object({ tenantId, jobId: z.uuid(), kind: z.literal('ingestion'), subjectId: z.uuid() }),
  summaries: z.object({ tenantId, conversationId: z.uuid(), upToSeq: z.int().min(1) }),
  /** Finds and summarises a tenant's communities, at the corpus version it had or a later one. */
  communities: z.object({ tenantId, version: z.int().min(0) }),
  /** Looks for conversations that want a summary and communities that are behind, over all tenants. */
  warmup: z.object({}),
  /** Partitions ahead of time and jobs that got lost, over all tenants. */
  maintenance: z.object({}),
} as const;

export type QueueName = keyof typeof QUEUES;
export type JobPayload<Name extends QueueName> = z.output<(typeof QUEUES)[Name]>;

export const QUEUE_NAMES = Object.keys(QUEUES) as QueueName[];
