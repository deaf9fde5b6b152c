import type { TenantId } from '@sparkle/contracts';
import type { TokenUsage } from '@sparkle/llm';

export interface AdmissionRequest {
  readonly tenantId: TenantId;
  readonly userId: string;
  readonly conversationId: string;
  /** Upper estimate of the turn's tokens: context, question and answer. */
  readonly estimatedTokens: number;
  readonly signal: AbortSignal;
}

/** What an admitted turn holds: a permit, a reserved token budget. */
export interface AdmissionTicket {
  /** Called exactly once when the turn ends; `usage` is absent when no model answered. */
  settle(usage?: TokenUsage): Promise<void>;
}

/** Decides whether a turn may start; its own error (rate limited, over budget) reaches the caller as it is. */
export interface Admission {
  admit(request: AdmissionRequest): Promise<AdmissionTicket | undefined>;
}

/** Injection token of the {@link Admission} port. Optional: without one, every turn is admitted. */
export const Admission = Symbol('Admission');
