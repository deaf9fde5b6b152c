import type { Semaphore, Semaphores, TenantPlans, TokenBudget } from '@sparkle/concurrency';
import type { AdmissionGrant, AdmissionRequest, ModelAdmission, TokenUsage } from '@sparkle/llm';

/**
 * Lets a tenant call a model within its plan: at most `permits` calls at once over all processes, and the
 * tokens of its budget, reserved before the call and settled after it.
 */
export class TenantModelAdmission implements ModelAdmission {
  private readonly permits: Semaphore;

  constructor(
    semaphores: Semaphores,
    private readonly budget: TokenBudget,
    plans: TenantPlans,
  ) {
    this.permits = semaphores.semaphore({
      name: 'model-calls',
      permits: async (tenantId) => (await plans.get(tenantId)).permits,
    });
  }

  async admit({ tenantId, estimatedTokens, signal }: AdmissionRequest): Promise<AdmissionGrant> {
    const permit = await this.permits.acquire({ tenantId, ...(signal && { signal }) });
    try {
      const reservation = await this.budget.reserve(tenantId, Math.max(1, Math.ceil(estimatedTokens)));
      return {
        signal: permit.signal,
        settle: async ({ inputTokens, outputTokens }: TokenUsage) => {
          await reservation.settle(inputTokens + outputTokens);
        },
        release: async () => {
          await Promise.all([permit.release(), reservation.release()]);
        },
      };
    } catch (error) {
      await permit.release();
      throw error;
    }
  }
}
