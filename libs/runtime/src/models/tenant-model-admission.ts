import type { Semaphore, Semaphores, TenantPlans, TokenBudget } from '@sparkle/concurrency';
import type { TenantId } from '@sparkle/contracts';
import type { AdmissionGrant, AdmissionRequest, ModelAdmission, TokenUsage } from '@sparkle/llm';

/**
 * Lets a tenant call a model within its plan: at most `permits` chat calls and as many embedding calls at once
 * over all processes, and the tokens of its budget, which both draw on, reserved before the call and settled
 * after it.
 */
export class TenantModelAdmission implements ModelAdmission {
  private readonly permits: Readonly<Record<AdmissionRequest['operation'], Semaphore>>;

  constructor(
    semaphores: Semaphores,
    private readonly budget: TokenBudget,
    plans: TenantPlans,
  ) {
    const permits = async (tenantId: TenantId) => (await plans.get(tenantId)).permits;
    this.permits = {
      chat: semaphores.semaphore({ name: 'model-calls', permits }),
      embed: semaphores.semaphore({ name: 'embedding-calls', permits }),
    };
  }

  async admit({ tenantId, operation, estimatedTokens, signal }: AdmissionRequest): Promise<AdmissionGrant> {
    const permit = await this.permits[operation].acquire({ tenantId, ...(signal && { signal }) });
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
