import type { Context } from '@opentelemetry/api';
import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import type { ReadableSpan, Span, SpanExporter, SpanProcessor } from '@opentelemetry/sdk-trace-base';

/** Why spans did not reach the collector. */
export type SpanDropReason = 'queue_full' | 'export_failed' | 'shutdown';

/** Told how many spans have arrived, and how many have not. */
export interface SpanAccount {
  exported(spans: number): void;
  dropped(reason: SpanDropReason, spans: number): void;
}

/**
 * A span processor that counts what becomes of every span. `batch` makes the processor that collects spans and
 * hands them to the exporter it is given; at most `maxWaiting` spans wait in it, so that memory is bounded while a
 * collector is slow or down. Ending a span never waits.
 */
export class CountedSpanExport implements SpanProcessor {
  private readonly batches: SpanProcessor;
  private waiting = 0;
  private underWay = 0;

  constructor(
    exporter: SpanExporter,
    private readonly maxWaiting: number,
    private readonly account: SpanAccount,
    batch: (exporter: SpanExporter) => SpanProcessor,
  ) {
    this.batches = batch({
      export: (spans, done) => this.export(exporter, spans, done),
      shutdown: () => exporter.shutdown(),
      forceFlush: async () => exporter.forceFlush?.(),
    });
  }

  onStart(span: Span, parent: Context): void {
    this.batches.onStart(span, parent);
  }

  onEnd(span: ReadableSpan): void {
    if (this.waiting >= this.maxWaiting) {
      this.account.dropped('queue_full', 1);
      return;
    }
    this.waiting++;
    this.batches.onEnd(span);
  }

  forceFlush(): Promise<void> {
    return this.batches.forceFlush();
  }

  /** Sends what waits. What has not arrived when this is given up is to be counted by {@link abandon}. */
  shutdown(): Promise<void> {
    return this.batches.shutdown();
  }

  /** Counts everything that has not arrived as lost. */
  abandon(): void {
    const lost = this.waiting + this.underWay;
    this.waiting = 0;
    this.underWay = 0;
    if (lost > 0) this.account.dropped('shutdown', lost);
  }

  private export(exporter: SpanExporter, spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    const count = spans.length;
    this.waiting -= count;
    this.underWay += count;
    exporter.export(spans, (result) => {
      // Nothing is under way any more once it was abandoned.
      if (this.underWay >= count) {
        this.underWay -= count;
        if (result.code === ExportResultCode.SUCCESS) this.account.exported(count);
        else this.account.dropped('export_failed', count);
      }
      done(result);
    });
  }
}
