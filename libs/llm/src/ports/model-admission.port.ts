import type { TenantId } from '@sparkle/contracts';
import type { TokenUsage } from './chat-model.port.js';

export interface AdmissionRequest {
  readonly tenantId: TenantId;
  /** Chat and embedding calls wait in queues of their own: one may need the other to end. */
  readonly operation: 'chat' | 'embed';
  /** Tokens of the prompt plus the most the answer may take; of the texts, for embeddings. */
  readonly estimatedTokens: number;
  readonly signal?: AbortSignal;
}

/** A permit and a token reservation, held while a call is under way. */
export interface AdmissionGrant {
  /** Aborts when the permit is lost; the call then stops with its reason. */
  readonly signal?: AbortSignal;
  /** Charges what was used in place of the estimate. Called at most once, before {@link release}. */
  settle(usage: TokenUsage): Promise<void>;
  /** Gives back the permit and what was reserved and not settled. Called exactly once. */
  release(): Promise<void>;
}

/**
 * Decides whether a tenant may call a model now: the place of concurrency permits and token budgets, which an
 * application fills in. It rejects to refuse, with `LlmBudgetExceededError` or an error of its own, which the
 * caller then gets.
 */
export interface ModelAdmission {
  admit(request: AdmissionRequest): Promise<AdmissionGrant>;
}

/** Injection token of the {@link ModelAdmission} port. */
export const ModelAdmission = Symbol('ModelAdmission');
