import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { stringify } from 'yaml';
import { DASHBOARD_SPECS } from '../src/dashboards/dashboards.js';
import { promtool } from './promtool.js';

it('every query of the dashboards is PromQL', async () => {
  const queries = DASHBOARD_SPECS.flatMap(({ rows }) =>
    rows.flatMap(({ panels }) => panels.flatMap((panel) => panel.queries.map(([expr]) => expr))),
  );
  const rules = queries.map((expr, index) => ({
    record: `query_${index}`,
    expr: expr.replaceAll('$__rate_interval', '1m').replaceAll('$job', 'sparkle-api'),
  }));
  const folder = await mkdtemp(join(tmpdir(), 'sparkle-dashboards-'));
  try {
    const path = join(folder, 'queries.yml');
    await writeFile(path, stringify({ groups: [{ name: 'queries', rules }] }));
    const { ok, output } = await promtool('check', 'rules', path);
    expect(ok, output).toBe(true);
    expect(output).toContain(`${queries.length} rules found`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
