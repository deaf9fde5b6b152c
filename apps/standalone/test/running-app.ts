import { parseTenantId, SystemClock } from '@sparkle/contracts';
import { embeddedJwtKey, TokenService } from '@sparkle/runtime';
import { type Reply, RunningApplication as RunningApp } from '../src/processes/running-application.js';

export { type Call, type Reply, send } from '../src/processes/running-application.js';
export { RunningApp };

/** A token for `user` of `tenant`, signed with `key`. */
export function tokenOf(
  key: string,
  tenant: string,
  user: string,
  options: { scopes?: string[]; lifetimeSeconds?: number } = {},
): Promise<string> {
  const principal = {
    tenantId: parseTenantId(tenant),
    userId: user,
    scopes: options.scopes ?? ['read', 'write'],
  };
  return new TokenService(key, new SystemClock()).issue(principal, options.lifetimeSeconds ?? 3600);
}

/** A token for the embedded server of `dataDirectory`. */
export async function embeddedToken(dataDirectory: string, tenant: string, user: string): Promise<string> {
  return tokenOf(await embeddedJwtKey(dataDirectory), tenant, user);
}

/** Asks again until `done` says so; fails with the last reply after `attempts` of 100 ms. */
export async function eventually(ask: () => Promise<Reply>, done: (reply: Reply) => boolean, attempts = 600) {
  let reply = await ask();
  for (let attempt = 0; !done(reply); attempt++) {
    if (attempt === attempts) throw new Error(`still not so: ${reply.status} ${JSON.stringify(reply.body)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
    reply = await ask();
  }
  return reply;
}

/** Uploads a Markdown document and waits until it is searchable. */
export async function ingest(app: RunningApp, token: string, title: string, text: string): Promise<string> {
  const accepted = await app.send('/v1/documents', { token, json: { title, text, format: 'markdown' } });
  if (accepted.status >= 300) throw new Error(`refused: ${accepted.status} ${JSON.stringify(accepted.body)}`);
  await eventually(
    () => app.send(`/v1/jobs/${accepted.body.jobId}`, { token }),
    (reply) => reply.body.state === 'completed',
  );
  return accepted.body.documentId;
}
