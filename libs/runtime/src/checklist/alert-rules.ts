import { z } from 'zod';

const rulesReply = z.object({
  data: z.object({
    groups: z.array(
      z.object({
        rules: z.array(z.object({ name: z.string(), type: z.string(), health: z.string() })),
      }),
    ),
  }),
});
const targetsReply = z.object({
  data: z.object({ activeTargets: z.array(z.object({ health: z.string() })) }),
});

/** What a Prometheus says about its alerts and what it scrapes. */
export interface AlertRules {
  /** Names of the alerts that are loaded. */
  readonly alerts: readonly string[];
  /** Names of the rules, recording ones included, whose evaluation fails. */
  readonly failing: readonly string[];
  readonly targetsUp: number;
  readonly targets: number;
}

const TIMEOUT_MS = 5_000;

/**
 * Asks a Prometheus what it has loaded.
 * @throws what `fetch` throws, and an `Error` when the reply is not a Prometheus'.
 */
export async function readAlertRules(prometheusUrl: string): Promise<AlertRules> {
  const [rules, targets] = await Promise.all([
    read(prometheusUrl, 'api/v1/rules', rulesReply),
    read(prometheusUrl, 'api/v1/targets?state=active', targetsReply),
  ]);
  const all = rules.data.groups.flatMap((group) => group.rules);
  const active = targets.data.activeTargets;
  return {
    alerts: all.filter(({ type }) => type === 'alerting').map(({ name }) => name),
    // A rule that was not evaluated yet is `unknown`: nobody knows whether it would fire.
    failing: all.filter(({ health }) => health !== 'ok').map(({ name }) => name),
    targetsUp: active.filter(({ health }) => health === 'up').length,
    targets: active.length,
  };
}

async function read<Schema extends z.ZodType>(
  base: string,
  path: string,
  schema: Schema,
): Promise<z.output<Schema>> {
  const url = new URL(path, base.endsWith('/') ? base : `${base}/`);
  const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  const reply = schema.safeParse(await response.json().catch(() => undefined));
  if (!response.ok || !reply.success) throw new Error(`answered ${response.status}, not as Prometheus does`);
  return reply.data;
}
