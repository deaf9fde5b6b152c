import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard';
import { caches } from './caches.js';
import { database } from './database.js';
import { knowledge } from './knowledge.js';
import { limitsAndTenants } from './limits-and-tenants.js';
import { models } from './models.js';
import { overview } from './overview.js';
import { buildDashboard } from './panels.js';
import { queues } from './queues.js';
import { runtime } from './runtime.js';

/** Every dashboard, as it is described in code. */
export const DASHBOARD_SPECS = [
  overview,
  caches,
  limitsAndTenants,
  models,
  database,
  knowledge,
  queues,
  runtime,
];

/** Every dashboard as Grafana reads it, by the name of its file. */
export function buildDashboards(): ReadonlyMap<string, Dashboard> {
  return new Map(DASHBOARD_SPECS.map((spec) => [`${spec.uid}.json`, buildDashboard(spec)]));
}
