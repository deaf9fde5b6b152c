import { tenantPlanSchema } from '@sparkle/concurrency';
import { parseTenantId, type TenantId } from '@sparkle/contracts';
import {
  openDatabase,
  parseDatabaseOptions,
  type TenantResourcesInput,
  TenantRoles,
} from '@sparkle/database';
import { parseEnvironment, TenantRegistry } from '@sparkle/runtime';
import { readOptions, runCommand, UsageError } from './command.js';

const USAGE = `npm run --silent tenant -- list
       npm run --silent tenant -- set NAME [--plan JSON] [--status active|suspended]
         [--resources JSON|none] (what is left out stays)`;

await runCommand(async () => {
  const { values, positionals } = readOptions(USAGE, {
    plan: { type: 'string' },
    status: { type: 'string' },
    resources: { type: 'string' },
  });
  const [action, name] = positionals;
  const { databaseUrl, tenantRoleSecret } = parseEnvironment(process.env, { embedded: true });
  if (!databaseUrl)
    throw new UsageError('This needs DATABASE_URL; embedded mode takes in every tenant by itself.');
  const database = await openDatabase(parseDatabaseOptions({ url: databaseUrl }));
  try {
    const registry = new TenantRegistry(database, false);
    const roles = tenantRoleSecret === undefined ? undefined : new TenantRoles(database, tenantRoleSecret);
    if (action === 'list') {
      const resources = new Map((await roles?.list())?.map((role) => [role.tenantId, role.resources]));
      for (const tenant of await registry.list())
        process.stdout.write(
          `${JSON.stringify({ ...tenant, ...(roles && { resources: resources.get(tenant.id) ?? null }) })}\n`,
        );
    } else if (action === 'set' && name && isStatus(values.status)) {
      const tenantId = parseTenantId(name);
      if (values.resources !== undefined) await setResources(roles, tenantId, values.resources);
      await registry.save(tenantId, {
        ...(values.plan === undefined ? {} : { plan: parsePlan(values.plan) }),
        ...(values.status === undefined ? {} : { status: values.status }),
      });
    } else throw new UsageError(`usage: ${USAGE}`);
  } finally {
    await database.close();
  }
});

async function setResources(roles: TenantRoles | undefined, tenantId: TenantId, text: string): Promise<void> {
  if (!roles) throw new UsageError('--resources needs SPARKLE_TENANT_ROLE_SECRET.');
  if (text === 'none') return roles.remove(tenantId);
  await roles.ensure(tenantId, parseJson('--resources', text) as TenantResourcesInput);
}

function isStatus(status: string | undefined): status is 'active' | 'suspended' | undefined {
  return status === undefined || status === 'active' || status === 'suspended';
}

function parseJson(option: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError(`${option} is not JSON`);
  }
}

function parsePlan(text: string) {
  const parsed = tenantPlanSchema.safeParse(parseJson('--plan', text));
  if (parsed.success) return parsed.data;
  throw new UsageError(
    parsed.error.issues.map((issue) => `plan.${issue.path.join('.')}: ${issue.message}`).join('\n'),
  );
}
