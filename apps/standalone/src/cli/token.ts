import { parseTenantId, SystemClock } from '@sparkle/contracts';
import { embeddedJwtKey, parseEnvironment, SCOPES, TokenService } from '@sparkle/runtime';
import { readOptions, runCommand, UsageError } from './command.js';

const USAGE = `npm run --silent token -- --tenant NAME --user NAME [--scope "${SCOPES.join(' ')}"] [--hours 12]`;

await runCommand(async () => {
  const { values } = readOptions(USAGE, {
    tenant: { type: 'string' },
    user: { type: 'string' },
    scope: { type: 'string', default: 'read write' },
    hours: { type: 'string', default: '12' },
  });
  const hours = Number(values.hours);
  if (!values.tenant || !values.user || !(hours > 0)) throw new UsageError(`usage: ${USAGE}`);
  const scopes = values.scope.split(/[ ,]+/).filter(Boolean);
  const unknown = scopes.find((scope) => !SCOPES.includes(scope as (typeof SCOPES)[number]));
  if (unknown) throw new UsageError(`there is no scope "${unknown}"; the scopes are ${SCOPES.join(', ')}`);
  const config = parseEnvironment(process.env, { embedded: true });
  const key = config.jwtKey ?? (await embeddedJwtKey(config.dataDirectory));
  const principal = { tenantId: parseTenantId(values.tenant), userId: values.user, scopes };
  const token = await new TokenService(key, new SystemClock()).issue(principal, Math.round(hours * 3600));
  process.stdout.write(`${token}\n`);
});
