import type { SqlClient, TenantId } from '@sparkle/contracts';

/** How well a learner knows a node. */
export interface NodeStatus {
  readonly nodeId: string;
  readonly mastered: boolean;
  /** In `[0, 1]`. */
  readonly masteryLevel: number;
  /** Milliseconds since the Unix epoch. */
  readonly lastReviewAt: number;
}

export interface StudyDay {
  /** `YYYY-MM-DD`, UTC. */
  readonly date: string;
  readonly records: number;
  readonly seconds: number;
  readonly averageScore: number | null;
}

export interface StudyTotals {
  /** One entry per day, the oldest first, days without study included. */
  readonly days: readonly StudyDay[];
  readonly totals: {
    readonly records: number;
    readonly seconds: number;
    readonly activeDays: number;
    readonly nodes: number;
  };
  readonly mastered: number;
  /** Nodes begun and not mastered. */
  readonly inProgress: number;
}

/** Days looked back for a streak. */
const STREAK_DAYS = 366;

/** Returns false when the record is there already. */
export async function insertStudyRecord(
  sql: SqlClient,
  tenantId: TenantId,
  record: {
    id: string;
    userId: string;
    nodeId: string | null;
    activity: string;
    durationSeconds: number;
    score: number | null;
    studyTime: Date;
  },
): Promise<boolean> {
  // The primary key of a partitioned table holds the time, which a retry may give anew: the id alone decides,
  // under a lock that keeps two retries apart.
  await sql.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 1))', [record.id]);
  const rows = await sql.query(
    `INSERT INTO study_records (tenant_id, id, user_id, node_id, activity, duration_seconds, score, study_time)
     SELECT $1, $2::uuid, $3, $4::uuid, $5, $6::integer, $7::real, $8::timestamptz
     WHERE NOT EXISTS (SELECT 1 FROM study_records WHERE id = $2::uuid)
     RETURNING id`,
    [
      tenantId,
      record.id,
      record.userId,
      record.nodeId,
      record.activity,
      record.durationSeconds,
      record.score,
      record.studyTime,
    ],
  );
  return rows.length > 0;
}

/** Updates a learner's state of a node and returns it. Without score and `mastered` only the time moves. */
export async function reviewNode(
  sql: SqlClient,
  tenantId: TenantId,
  review: {
    userId: string;
    nodeId: string;
    score: number | null;
    mastered: boolean | null;
    reviewedAt: Date;
    threshold: number;
  },
): Promise<NodeStatus> {
  const [row] = await sql.query<{ mastered: boolean; mastery_level: number; last_review_date: Date }>(
    // Level first: "mastered" decides; else the first score counts in full and a later one to two fifths.
    `INSERT INTO user_node_status AS s
       (tenant_id, user_id, node_id, mastered, mastery_level, last_review_date)
     SELECT $1, $2, $3::uuid, coalesce($5::boolean, coalesce($4::real, 0) >= $7::real),
       CASE WHEN $5 THEN 1 WHEN NOT $5 THEN least(coalesce($4, 0), $7::real / 2) ELSE coalesce($4, 0) END,
       $6::timestamptz
     ON CONFLICT (tenant_id, user_id, node_id) DO UPDATE SET
       mastery_level = CASE WHEN $5 THEN 1
         WHEN NOT $5 THEN least(coalesce($4, s.mastery_level), $7::real / 2)
         WHEN $4::real IS NULL THEN s.mastery_level
         ELSE s.mastery_level + 0.4 * ($4::real - s.mastery_level) END,
       mastered = CASE WHEN $5 IS NOT NULL THEN $5
         WHEN $4::real IS NULL THEN s.mastered
         ELSE s.mastery_level + 0.4 * ($4::real - s.mastery_level) >= $7::real END,
       last_review_date = greatest(s.last_review_date, excluded.last_review_date)
     RETURNING mastered, mastery_level, last_review_date`,
    [
      tenantId,
      review.userId,
      review.nodeId,
      review.score,
      review.mastered,
      review.reviewedAt,
      review.threshold,
    ],
  );
  return {
    nodeId: review.nodeId,
    mastered: row!.mastered,
    masteryLevel: row!.mastery_level,
    lastReviewAt: row!.last_review_date.getTime(),
  };
}

/** Study per day and mastery, and the day numbers (since the Unix epoch) with study for a streak. */
export async function readStudyTotals(
  sql: SqlClient,
  tenantId: TenantId,
  userId: string,
  today: number,
  days: number,
): Promise<StudyTotals & { studiedDays: number[] }> {
  const back = Math.max(days, STREAK_DAYS);
  const from = dayStart(today - back + 1);
  const until = dayStart(today + 1);
  const rows = await sql.query<{
    day: number;
    records: number;
    seconds: number;
    average_score: number | null;
    nodes: string[];
  }>(
    `SELECT floor(extract(epoch FROM study_time) / 86400)::integer AS day, count(*)::integer AS records,
       sum(duration_seconds)::integer AS seconds, avg(score)::real AS average_score,
       array_agg(DISTINCT node_id::text) FILTER (WHERE node_id IS NOT NULL) AS nodes
     FROM study_records
     WHERE tenant_id = $1 AND user_id = $2 AND study_time >= $3 AND study_time < $4
     GROUP BY 1 ORDER BY 1`,
    [tenantId, userId, from, until],
  );
  const [status] = await sql.query<{ mastered: number; begun: number }>(
    `SELECT count(*) FILTER (WHERE mastered)::integer AS mastered,
       count(*) FILTER (WHERE NOT mastered)::integer AS begun
     FROM user_node_status WHERE tenant_id = $1 AND user_id = $2`,
    [tenantId, userId],
  );
  const byDay = new Map(rows.map((row) => [row.day, row]));
  const shown = Array.from({ length: days }, (_, index) => today - days + 1 + index);
  const within = shown.flatMap((day) => byDay.get(day) ?? []);
  return {
    days: shown.map((day) => ({
      date: dayStart(day).toISOString().slice(0, 10),
      records: byDay.get(day)?.records ?? 0,
      seconds: byDay.get(day)?.seconds ?? 0,
      averageScore: byDay.get(day)?.average_score ?? null,
    })),
    totals: {
      records: within.reduce((sum, row) => sum + row.records, 0),
      seconds: within.reduce((sum, row) => sum + row.seconds, 0),
      activeDays: within.length,
      nodes: new Set(within.flatMap((row) => row.nodes ?? [])).size,
    },
    mastered: status!.mastered,
    inProgress: status!.begun,
    studiedDays: rows.map((row) => row.day),
  };
}

function dayStart(day: number): Date {
  return new Date(day * 86_400_000);
}
