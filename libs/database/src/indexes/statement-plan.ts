import { z } from 'zod';

/** How a plan reads a table: `seq` reads all of it, `tid` by row address, the others through an index. */
export type AccessMethod = 'seq' | 'index' | 'index-only' | 'bitmap' | 'tid';

/** One table, or one partition of it, that a plan reads. */
export interface TableAccess {
  readonly schema: string;
  /** The relation in the plan: for a partitioned table, the partition. */
  readonly relation: string;
  readonly method: AccessMethod;
  /** Empty for `seq` and `tid`. */
  readonly indexes: readonly string[];
  /** Rows handed on, over all loops. */
  readonly rows: number;
  /** Rows read and thrown away by the filter, over all loops. */
  readonly discarded: number;
  /** False when the plan never got there: its part of the plan cost nothing. */
  readonly executed: boolean;
  /** The condition checked on each row read, as PostgreSQL prints it. */
  readonly filter?: string;
}

/** What `EXPLAIN (ANALYZE, BUFFERS, VERBOSE, FORMAT JSON)` tells of one execution. */
export interface StatementPlan {
  readonly accesses: readonly TableAccess[];
  /** Node types with their relations and indexes, outermost first, on one line. */
  readonly summary: string;
  /** Rows of the result; for a statement without RETURNING, rows it changed. */
  readonly rows: number;
  /** Planning and execution in milliseconds, triggers (foreign keys) included. */
  readonly planningMs: number;
  readonly executionMs: number;
  /** 8 kB blocks touched, in cache or not. */
  readonly blocks: number;
}

interface PlanNode {
  'Node Type': string;
  Schema?: string | undefined;
  'Relation Name'?: string | undefined;
  'Index Name'?: string | undefined;
  Operation?: string | undefined;
  Filter?: string | undefined;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number | undefined;
  'Rows Removed by Index Recheck'?: number | undefined;
  'Shared Hit Blocks'?: number | undefined;
  'Shared Read Blocks'?: number | undefined;
  Plans?: PlanNode[] | undefined;
}

const planNode: z.ZodType<PlanNode> = z.lazy(() =>
  z.object({
    'Node Type': z.string(),
    Schema: z.string().optional(),
    'Relation Name': z.string().optional(),
    'Index Name': z.string().optional(),
    Operation: z.string().optional(),
    Filter: z.string().optional(),
    'Actual Rows': z.number(),
    'Actual Loops': z.number(),
    'Rows Removed by Filter': z.number().optional(),
    'Rows Removed by Index Recheck': z.number().optional(),
    'Shared Hit Blocks': z.number().optional(),
    'Shared Read Blocks': z.number().optional(),
    Plans: z.array(planNode).optional(),
  }),
);

const explanation = z
  .array(z.object({ Plan: planNode, 'Planning Time': z.number(), 'Execution Time': z.number() }))
  .min(1);

/** Put before a statement to have it run and its plan told; the answer goes to {@link parseStatementPlan}. */
export const EXPLAIN = 'EXPLAIN (ANALYZE, BUFFERS, VERBOSE, FORMAT JSON) ';

/** True for what EXPLAIN can take: everything that has a plan, and nothing that only commands the session. */
export function isExplainable(text: string): boolean {
  return /^\s*(SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|VALUES)\b/i.test(text);
}

/**
 * Reads the one row that `EXPLAIN (…, FORMAT JSON)` gives.
 * @throws ZodError when it is none.
 */
export function parseStatementPlan(row: unknown): StatementPlan {
  const [explained] = z.object({ 'QUERY PLAN': explanation }).parse(row)['QUERY PLAN'];
  const { Plan: root, 'Planning Time': planningMs, 'Execution Time': executionMs } = explained!;
  return {
    accesses: accessesOf(root),
    summary: summaryOf(root),
    rows: root.Operation && root['Node Type'] === 'ModifyTable' ? changedRows(root) : totalRows(root),
    planningMs,
    executionMs,
    blocks: (root['Shared Hit Blocks'] ?? 0) + (root['Shared Read Blocks'] ?? 0),
  };
}

const METHODS: Readonly<Record<string, AccessMethod>> = {
  'Seq Scan': 'seq',
  'Sample Scan': 'seq',
  'Index Scan': 'index',
  'Index Only Scan': 'index-only',
  'Bitmap Heap Scan': 'bitmap',
  'Tid Scan': 'tid',
  'Tid Range Scan': 'tid',
};

function accessesOf(node: PlanNode): TableAccess[] {
  const method = METHODS[node['Node Type']];
  const inner = (node.Plans ?? []).flatMap(accessesOf);
  const relation = node['Relation Name'];
  if (!method || relation === undefined) return inner;
  const loops = node['Actual Loops'];
  const removed = (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0);
  return [
    {
      schema: node.Schema ?? 'public',
      relation,
      method,
      indexes: method === 'bitmap' ? bitmapIndexes(node) : node['Index Name'] ? [node['Index Name']] : [],
      rows: totalRows(node),
      discarded: Math.round(removed * loops),
      executed: loops > 0,
      ...(node.Filter !== undefined && { filter: node.Filter }),
    },
    ...inner,
  ];
}

function bitmapIndexes(node: PlanNode): string[] {
  const own = node['Node Type'] === 'Bitmap Index Scan' && node['Index Name'] ? [node['Index Name']] : [];
  return [...new Set([...own, ...(node.Plans ?? []).flatMap(bitmapIndexes)])];
}

function totalRows(node: PlanNode): number {
  // EXPLAIN gives the average of the loops.
  return Math.round(node['Actual Rows'] * node['Actual Loops']);
}

function changedRows(node: PlanNode): number {
  const own = totalRows(node);
  return own > 0 ? own : (node.Plans ?? []).slice(0, 1).reduce((sum, child) => sum + totalRows(child), 0);
}

function summaryOf(node: PlanNode): string {
  const where = node['Index Name'] ?? node['Relation Name'];
  const type = node['Node Type'] === 'ModifyTable' ? (node.Operation ?? 'ModifyTable') : node['Node Type'];
  const own = where === undefined ? type : `${type} ${where}`;
  const children = (node.Plans ?? []).map(summaryOf);
  if (children.length === 0) return own;
  return children.length === 1 ? `${own} > ${children[0]}` : `${own} > (${children.join(', ')})`;
}
