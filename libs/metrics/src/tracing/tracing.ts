import { context, propagation, trace } from '@opentelemetry/api';
import type { Clock } from '@sparkle/contracts';
import { TracingConflictError } from '../errors.js';
import { subscribeToTracedEvents } from './event-spans.js';
import { createOtlpProvider, type OtlpProvider } from './otlp-provider.js';
import { traceOutgoingRequests } from './outgoing-requests.js';
import type { SpanAccount } from './span-export.js';
import type { TracingOptions } from './tracing.options.js';

/** Starts and ends tracing with the application. */
export class Tracing {
  private otlp: OtlpProvider | undefined;
  private readonly endings: (() => void)[] = [];

  constructor(
    private readonly clock: Clock,
    private readonly options: TracingOptions,
    private readonly account: SpanAccount,
  ) {}

  get isOn(): boolean {
    return this.options.mode !== 'off';
  }

  /** @throws TracingConflictError when the process has set up OpenTelemetry in another way already. */
  async start(): Promise<void> {
    if (this.options.mode === 'off') return;
    if (this.options.mode === 'otlp') {
      const otlp = await createOtlpProvider(this.options, this.account);
      if (!trace.setGlobalTracerProvider(otlp.provider)) {
        await otlp.shutdown();
        throw new TracingConflictError();
      }
      this.otlp = otlp;
      context.setGlobalContextManager(otlp.contexts);
      propagation.setGlobalPropagator(otlp.propagator);
    }
    this.endings.push(subscribeToTracedEvents(), traceOutgoingRequests());
  }

  /** Sends what waits, within the time set for it. Never rejects. */
  async stop(): Promise<void> {
    for (const end of this.endings.splice(0)) end();
    const { otlp, options } = this;
    if (!otlp || options.mode !== 'otlp') return;
    this.otlp = undefined;
    const timeout = new AbortController();
    await Promise.race([
      otlp.shutdown().catch(() => {}),
      this.clock.sleep(options.flushMs, timeout.signal).catch(() => {}),
    ]);
    timeout.abort();
    otlp.abandon();
    trace.disable();
    context.disable();
    propagation.disable();
  }
}
