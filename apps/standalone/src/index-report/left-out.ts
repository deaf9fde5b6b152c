/**
 * Statements in the sources, by name, that the report does not explain, and why. Everything else must be reached by
 * `driveApplication`.
 */
export const LEFT_OUT: readonly {
  readonly path: RegExp;
  readonly reason: string;
}[] = [
  {
    path: /^apps\/standalone\/src\/index-report\/(?!operator-queries)/,
    reason: 'this report: its data and its samples',
  },
  { path: /^libs\/database\/src\/indexes\//, reason: 'this report: it reads the catalogue' },
  { path: /^libs\/database\/src\/core\/migrate\.ts:/, reason: 'migrations, before the application starts' },
  {
    path: /^libs\/database\/src\/core\/(database\.service|transaction-scope)\.ts:/,
    reason: 'commands that begin, end or check a session; they read no table of the product',
  },
  { path: /^libs\/database\/src\/embedded\//, reason: 'session commands of the embedded server' },
  {
    path: /^libs\/database\/src\/(tenants|shards|replicas|reports)\//,
    reason: "an operator's commands on roles, shards, replicas and statistics; they read catalogues",
  },
  {
    path: /^libs\/database\/src\/partitions\//,
    reason: 'upkeep of partitions: commands, catalogue, and rows that are moved or archived whole',
  },
  {
    path: /^libs\/runtime\/src\/queue\/turns\//,
    reason: "turns in BullMQ's schema when there is no Redis; one row each, by the primary key",
  },
  {
    path: /^apps\/worker\/src\/upkeep\/planner-statistics\.ts:/,
    reason: 'once a day: the catalogue of partitioned tables, and ANALYZE',
  },
  {
    path: /^libs\/runtime\/src\/checklist\//,
    reason: 'the production checklist: statistics and settings of the server',
  },
  {
    path: /corpus-version\.ts:hasRevisions$/,
    reason:
      'sent only while a graph that took over half a second to build is kept; served by the primary key',
  },
  {
    path: /sense\.store\.ts:readExcerpts$/,
    reason:
      'asked for homonyms of which nothing is stated; served by the primary keys of mentions and passages',
  },
  {
    path: /resolution\.store\.ts:forgetDecisionsOf$/,
    reason: "a document leaves that was a rule's reason to tell homonyms apart; served by primary keys",
  },
];

/** Settings of the transaction: no table, no plan. */
export const SETTING = /^SELECT set_config\(/;
