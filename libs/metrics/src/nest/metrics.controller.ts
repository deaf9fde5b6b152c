import { applyDecorators, Controller, Get, Inject, Res, type Type, VERSION_NEUTRAL } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { PrometheusMetrics } from '../adapters/prometheus/prometheus-metrics.js';
import { Unmeasured } from './unmeasured.decorator.js';

/** Makes the controller of `GET /<path>`; `decorators` are put on its class. */
export function metricsController(path: string, decorators: readonly ClassDecorator[]): Type<object> {
  @applyDecorators(...decorators)
  @Unmeasured(true)
  @Controller({ path, version: VERSION_NEUTRAL })
  class MetricsController {
    constructor(
      @Inject(PrometheusMetrics) private readonly metrics: PrometheusMetrics,
      @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost,
    ) {}

    @Get()
    async scrape(@Res({ passthrough: true }) response: unknown): Promise<string> {
      const { httpAdapter } = this.host;
      httpAdapter.setHeader(response, 'Content-Type', this.metrics.registry.contentType);
      httpAdapter.setHeader(response, 'Cache-Control', 'no-store');
      return this.metrics.scrape();
    }
  }
  return MetricsController;
}
