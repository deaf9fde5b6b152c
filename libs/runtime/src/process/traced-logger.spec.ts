import { context, createContextKey, ROOT_CONTEXT, TraceFlags, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { TracedLogger } from './traced-logger.js';

const TRACE = '0af7651916cd43dd8448eb211c80319c';

describe('TracedLogger', () => {
  afterEach(() => {
    vi.restoreAllMocks();
    context.disable();
  });

  it('puts the id of the trace in progress into a line, and nothing into others', () => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager());
    const write = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
    const logger = new TracedLogger(['warn']);
    const spanContext = { traceId: TRACE, spanId: 'b7ad6b7169203331', traceFlags: TraceFlags.SAMPLED };
    const traced = trace.setSpanContext(ROOT_CONTEXT.setValue(createContextKey('x'), 1), spanContext);

    context.with(traced, () => logger.warn('within', 'Jobs'));
    logger.warn('outside', 'Jobs');

    const lines = write.mock.calls.map(([line]) => String(line));
    expect(lines[0]).toContain(`[trace ${TRACE}]`);
    expect(lines[0]).toContain('within');
    expect(lines[1]).not.toContain('trace');
  });
});
