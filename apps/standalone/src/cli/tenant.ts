import { tenantPlanSchema } from '@sparkle/concurrency';
import { parseTenantId } from '@sparkle/contracts';
import { openDatabase, parseDatabaseOptions } from '@sparkle/database';
import { parseEnvironment, TenantRegistry } from '@sparkle/runtime';
import { readOptions, runCommand, UsageError } from './command.js';

const USAGE = `npm run --silent tenant -- list
       npm run --silent tenant -- set NAME [--plan JSON] [--status active|suspended] (what is left out stays)`;

await runCommand(async () => {
  const { values, positionals } = readOptions(USAGE, {
    plan: { type: 'string' },
    status: { type: 'string' },
  });
  const [action, name] = positionals;
  const { databaseUrl } = parseEnvironment(process.env, { embedded: true });
  if (!databaseUrl)
    throw new UsageError('This needs DATABASE_URL; embedded mode takes in every tenant by itself.');
  const database = await openDatabase(parseDatabaseOptions({ url: databaseUrl }));
  try {
    const registry = new TenantRegistry(database, false);
    if (action === 'list') {
      for (const tenant of await registry.list()) process.stdout.write(`${JSON.stringify(tenant)}\n`);
    } else if (action === 'set' && name && isStatus(values.status)) {
      await registry.save(parseTenantId(name), {
        ...(values.plan === undefined ? {} : { plan: parsePlan(values.plan) }),
        ...(values.status === undefined ? {} : { status: values.status }),
      });
    } else throw new UsageError(`usage: ${USAGE}`);
  } finally {
    await database.close();
  }
});

function isStatus(status: string | undefined): status is 'active' | 'suspended' | undefined {
  return status === undefined || status === 'active' || status === 'suspended';
}

function parsePlan(text: string) {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new UsageError('--plan is not JSON');
  }
  const parsed = tenantPlanSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new UsageError(
    parsed.error.issues.map((issue) => `plan.${issue.path.join('.')}: ${issue.message}`).join('\n'),
  );
}
