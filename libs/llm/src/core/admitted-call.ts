import type { TokenUsage } from '../ports/chat-model.port.js';
import type { AdmissionGrant } from '../ports/model-admission.port.js';

/**
 * What one admitted call holds and what it has used so far, failed attempts included. {@link end} books and
 * gives back exactly once, whoever comes first: the call's end, its caller, or a bound on its time.
 */
export class AdmittedCall {
  private used: TokenUsage | undefined;
  private ended: Promise<void> | undefined;

  constructor(private readonly grant: AdmissionGrant | undefined) {}

  get signal(): AbortSignal | undefined {
    return this.grant?.signal;
  }

  add(usage: TokenUsage): void {
    const { inputTokens = 0, outputTokens = 0, costUsd = 0 } = this.used ?? {};
    this.used = {
      inputTokens: inputTokens + usage.inputTokens,
      outputTokens: outputTokens + usage.outputTokens,
      costUsd: costUsd + usage.costUsd,
    };
  }

  /**
   * Never rejects: an answer that was paid for is not lost because it could not be booked. What cannot be given
   * back expires by itself.
   */
  end(): Promise<void> {
    this.ended ??= this.giveBack();
    return this.ended;
  }

  private async giveBack(): Promise<void> {
    if (this.used) await this.grant?.settle(this.used).catch(() => undefined);
    await this.grant?.release().catch(() => undefined);
  }
}
