import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { Clock, TenantDatabase, type TenantId } from '@sparkle/contracts';
import { readUserGraph, type UserNode } from '@sparkle/database';
import { z } from 'zod';
import { findNodes, nearestNames } from '../adapters/postgres/node-search.store.js';
import {
  insertStudyRecord,
  type NodeStatus,
  readStudyTotals,
  reviewNode,
  type StudyTotals,
} from '../adapters/postgres/study.store.js';
import { ArgumentInvalidError, NodeNotFoundError, StudyRecordInvalidError } from '../errors.js';
import { GraphragOptions } from '../graphrag.options.js';
import { deterministicId } from '../ingest/deterministic-id.js';

/** One thing a learner did. */
export interface StudyRecordInput {
  readonly tenantId: TenantId;
  readonly userId: string;
  /** Made by the client; the same id recorded again changes nothing. Without one, every call is a new record. */
  readonly clientId?: string | undefined;
  /** What was studied: an id, a name or an alias. */
  readonly node?: string | undefined;
  /** E.g. `read`, `watch`, `exercise`, `quiz`, `review`. */
  readonly activity: string;
  /** Whole seconds, one day at most. */
  readonly durationSeconds: number;
  /** Share of right answers in `[0, 1]`; moves the mastery level. */
  readonly score?: number | undefined;
  /** Sets mastery outright: true means level 1, false means not mastered. */
  readonly mastered?: boolean | undefined;
  /** Milliseconds since the Unix epoch; default now. Not in the future, not older than ten years. */
  readonly studyTime?: number | undefined;
}

export interface StudyReceipt {
  readonly id: string;
  /** False when the record was there already. */
  readonly recorded: boolean;
  /** The node's state afterwards; null for a record without a node. */
  readonly status: NodeStatus | null;
}

export interface StudyProgress extends StudyTotals {
  /** Consecutive days with study up to today, or to yesterday while nothing is recorded today. */
  readonly streakDays: number;
}

const DAY_MS = 86_400_000;
const TEN_YEARS_MS = 3653 * DAY_MS;
/** Clocks of clients run ahead a little. */
const FUTURE_TOLERANCE_MS = 5 * 60_000;
const MAX_DAYS = 366;
const MAX_NODES = 1_000;

const recordSchema = z.object({
  userId: z.string().min(1).max(200),
  clientId: z.string().min(1).max(200).optional(),
  node: z.string().min(1).max(300).optional(),
  activity: z.string().regex(/^[a-z][a-z0-9_-]{0,39}$/, 'must be a lower-case word'),
  durationSeconds: z.int().min(0).max(86_400),
  score: z.number().min(0).max(1).optional(),
  mastered: z.boolean().optional(),
});

/** What learners did, and how far they are. */
@Injectable()
export class StudyService {
  constructor(
    @Inject(TenantDatabase) private readonly database: TenantDatabase,
    @Inject(Clock) private readonly clock: Clock,
    @Inject(GraphragOptions) private readonly options: GraphragOptions,
  ) {}

  /**
   * Records an activity and what it says about mastery, in one transaction. A score moves the level two fifths
   * of the way towards itself (the first one sets it); at `masteryThreshold` the node counts as mastered.
   * @throws StudyRecordInvalidError listing everything that is wrong.
   * @throws NodeNotFoundError with the nearest names.
   */
  async record(input: StudyRecordInput): Promise<StudyReceipt> {
    const { tenantId } = input;
    const record = this.checked(input);
    return this.database.withTenant(tenantId, async (sql) => {
      const reference = record.node;
      const node = reference && (await findNodes(sql, tenantId, [reference])).get(reference);
      if (reference && !node)
        throw new NodeNotFoundError(reference, await nearestNames(sql, tenantId, reference));
      const id = record.clientId
        ? deterministicId(tenantId, 'study', record.userId, record.clientId)
        : randomUUID();
      const recorded = await insertStudyRecord(sql, tenantId, {
        id,
        userId: record.userId,
        nodeId: node ? node.id : null,
        activity: record.activity,
        durationSeconds: record.durationSeconds,
        score: record.score ?? null,
        studyTime: new Date(record.studyTime),
      });
      const status = node
        ? await reviewNode(sql, tenantId, {
            userId: record.userId,
            nodeId: node.id,
            // A record that was there already only reads the state.
            score: recorded ? (record.score ?? null) : null,
            mastered: recorded ? (record.mastered ?? null) : null,
            reviewedAt: new Date(record.studyTime),
            threshold: this.options.masteryThreshold,
          })
        : null;
      return { id, recorded, status };
    });
  }

  /**
   * What a learner did over the last `days` (1–366, default 7) calendar days in UTC, today included, with
   * mastery and streak as of now. Two statements.
   * @throws ArgumentInvalidError when `days` is out of range.
   */
  async progress(tenantId: TenantId, userId: string, days = 7): Promise<StudyProgress> {
    if (!Number.isInteger(days) || days < 1 || days > MAX_DAYS)
      throw new ArgumentInvalidError(`"days" must be a whole number from 1 to ${MAX_DAYS}.`);
    const today = Math.floor(this.clock.now() / DAY_MS);
    const { studiedDays, ...totals } = await this.database.withTenant(tenantId, (sql) =>
      readStudyTotals(sql, tenantId, userId, today, days),
    );
    return { ...totals, streakDays: streak(studiedDays, today) };
  }

  /**
   * The nodes a learner has begun, those studied last first, with how well they are mastered. One statement, however
   * many nodes. `limit` 1–1000, default 100; `mastered` leaves only those that are, or that are not.
   * @throws ArgumentInvalidError when `limit` is out of range.
   */
  async nodes(
    tenantId: TenantId,
    userId: string,
    { limit = 100, mastered }: { limit?: number; mastered?: boolean | undefined } = {},
  ): Promise<UserNode<'name' | 'type'>[]> {
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_NODES)
      throw new ArgumentInvalidError(`"limit" must be a whole number from 1 to ${MAX_NODES}.`);
    return this.database.withTenant(tenantId, (sql) =>
      readUserGraph(sql, userId, { limit, ...(mastered !== undefined && { mastered }) }),
    );
  }

  private checked(input: StudyRecordInput): z.output<typeof recordSchema> & { studyTime: number } {
    const parsed = recordSchema.safeParse(input);
    const problems = parsed.success
      ? []
      : parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    const now = this.clock.now();
    const studyTime = input.studyTime ?? now;
    if (!(studyTime <= now + FUTURE_TOLERANCE_MS && studyTime >= now - TEN_YEARS_MS))
      problems.push('studyTime: must be a time within the last ten years');
    if (input.node === undefined && (input.score !== undefined || input.mastered !== undefined))
      problems.push('node: is needed for a score or mastery');
    if (!parsed.success || problems.length > 0) throw new StudyRecordInvalidError(problems);
    return { ...parsed.data, studyTime };
  }
}

/** Length of the run of days that ends today or yesterday. `days` are day numbers since the Unix epoch. */
function streak(days: readonly number[], today: number): number {
  const studied = new Set(days);
  let day = studied.has(today) ? today : today - 1;
  let length = 0;
  for (; studied.has(day); day -= 1) length += 1;
  return length;
}
