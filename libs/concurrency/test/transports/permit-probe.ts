import type { INestApplicationContext } from '@nestjs/common';
import { parseTenantId } from '@sparkle/contracts';
import { type ConcurrencyModuleOptions, Semaphores, type TenantPlan } from '../../src/index.js';

export const plan: TenantPlan = {
  qps: 1000,
  burst: 1000,
  permits: 1,
  threadShare: 1,
  tokenBudget: { tokens: 1000, windowMs: 60_000 },
};

/** One permit each for tenants, and one request per second for `tiny`. */
export const options: ConcurrencyModuleOptions = {
  store: { kind: 'memory' },
  plans: {
    kind: 'static',
    overrides: { acme: plan, globex: plan, tiny: { ...plan, qps: 1, burst: 1 } },
  },
};

/** Polls; gives up after some thousand turns, so that a guarantee that does not hold fails its test by name. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let turns = 0; turns < 5000; turns += 1) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  throw new Error(`This never became true: ${condition}`);
}

/** Looks at the permits of the semaphore `slow` of tenant acme from outside. */
export class PermitProbe {
  private readonly semaphores: Semaphores;

  constructor(app: INestApplicationContext) {
    this.semaphores = app.get(Semaphores);
  }

  get waiting(): number {
    return this.semaphores.waiting;
  }

  async isFree(): Promise<boolean> {
    const semaphore = this.semaphores.semaphore({ name: 'slow', permits: 1 });
    const permit = await semaphore.tryAcquire({ tenantId: parseTenantId('acme') });
    await permit?.release();
    return permit !== undefined;
  }

  whenFree(): Promise<void> {
    return until(() => this.isFree());
  }
}
