import type { SqlClient } from '@sparkle/contracts';
import { LoaderInvalidError } from '../errors.js';
import type { BatchLoaders } from './batch-loaders.js';
import { defineGroupLoader, defineLoader } from './loader-definition.js';

/** What can be read of a node, by property. */
const NODE_COLUMNS = {
  name: 'name',
  type: 'type',
  description: 'description',
  attributes: 'attributes',
} as const;

export type NodeField = keyof typeof NODE_COLUMNS;

interface NodeFields {
  readonly name: string;
  readonly type: string;
  readonly description: string | null;
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** How well a user masters a node. */
export interface NodeProgress {
  readonly nodeId: string;
  readonly mastered: boolean;
  /** From 0 to 1. */
  readonly masteryLevel: number;
  readonly lastReviewDate: Date | null;
}

/** A node a user has begun, with the fields that were asked for. */
export type UserNode<Field extends NodeField = NodeField> = NodeProgress & Pick<NodeFields, Field>;

export interface UserGraphOptions<Field extends NodeField> {
  /** Which fields of a node to read. Default name and type. Descriptions and attributes can be long. */
  fields?: readonly Field[];
  /** Only nodes that are mastered, or that are not. Default both. */
  mastered?: boolean;
  /** Most nodes to read, those reviewed last. Default 1000, at most 10,000. */
  limit?: number;
}

const DEFAULT_LIMIT = 1_000;
const LARGEST_LIMIT = 10_000;
const LAST_REVIEWED_FIRST = 's.last_review_date DESC NULLS LAST, s.node_id';

/**
 * The nodes a user has begun, those reviewed last first: one statement, however many nodes.
 * @param sql a transaction of the user's tenant.
 * @throws LoaderInvalidError for an unknown field or a limit out of range.
 */
export async function readUserGraph<Field extends NodeField = 'name' | 'type'>(
  sql: SqlClient,
  userId: string,
  options: UserGraphOptions<Field> = {},
): Promise<UserNode<Field>[]> {
  const fields: readonly NodeField[] = options.fields ?? ['name', 'type'];
  const limit = options.limit ?? DEFAULT_LIMIT;
  for (const field of fields)
    if (!Object.hasOwn(NODE_COLUMNS, field))
      throw new LoaderInvalidError(`A node has these fields: ${Object.keys(NODE_COLUMNS).join(', ')}.`);
  if (!Number.isInteger(limit) || limit < 1 || limit > LARGEST_LIMIT)
    throw new LoaderInvalidError(`"limit" must be a whole number from 1 to ${LARGEST_LIMIT}.`);
  const columns = fields.map((field) => `, n.${NODE_COLUMNS[field]} AS "${field}"`).join('');
  return sql.query<UserNode<Field>>(
    `SELECT s.node_id AS "nodeId", s.mastered, s.mastery_level AS "masteryLevel",
       s.last_review_date AS "lastReviewDate"${columns}
     FROM user_node_status s JOIN knowledge_nodes n ON n.tenant_id = s.tenant_id AND n.id = s.node_id
     WHERE s.tenant_id = current_setting('sparkle.tenant_id') AND s.user_id = $1
       AND ($2::boolean IS NULL OR s.mastered = $2)
     ORDER BY ${LAST_REVIEWED_FIRST} LIMIT $3`,
    [userId, options.mastered ?? null, limit],
  );
}

const progressByUser = defineGroupLoader({
  name: 'progress-by-user',
  read: (sql, userIds: readonly string[]) =>
    sql.query<NodeProgress & { userId: string }>(
      `SELECT s.user_id AS "userId", s.node_id AS "nodeId", s.mastered, s.mastery_level AS "masteryLevel",
         s.last_review_date AS "lastReviewDate"
       FROM user_node_status s
       WHERE s.tenant_id = current_setting('sparkle.tenant_id') AND s.user_id = ANY($1)
       ORDER BY ${LAST_REVIEWED_FIRST}`,
      [userIds],
    ),
  keyOf: (row) => row.userId,
  parse: ({ nodeId, mastered, masteryLevel, lastReviewDate }) => ({
    nodeId,
    mastered,
    masteryLevel,
    lastReviewDate,
  }),
});

const nodeById = defineLoader({
  name: 'node-by-id',
  read: (sql, ids: readonly string[]) =>
    sql.query<{ id: string; name: string; type: string }>(
      `SELECT id, name, type FROM knowledge_nodes
       WHERE tenant_id = current_setting('sparkle.tenant_id') AND id = ANY($1::uuid[])`,
      [ids],
    ),
  keyOf: (row) => row.id,
  maxBatchSize: LARGEST_LIMIT,
});

/**
 * The nodes that a user has begun, for places that each know of one user only: all that are asked for in one turn
 * of the event loop are read with two statements, however many users and nodes.
 */
export async function loadUserGraph(
  loaders: BatchLoaders,
  userId: string,
): Promise<UserNode<'name' | 'type'>[]> {
  const progress = (await loaders.load(progressByUser, userId)) ?? [];
  const nodes = await loaders.loadMany(
    nodeById,
    progress.map(({ nodeId }) => nodeId),
  );
  return progress.flatMap((own, index) => {
    const node = nodes[index];
    return node ? [{ ...own, name: node.name, type: node.type }] : [];
  });
}
