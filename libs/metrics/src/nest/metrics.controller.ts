import {
  applyDecorators,
  Controller,
  Get,
  Headers,
  Inject,
  Res,
  type Type,
  VERSION_NEUTRAL,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { Registry } from 'prom-client';
import { PrometheusMetrics } from '../adapters/prometheus/prometheus-metrics.js';
import { Unmeasured } from './unmeasured.decorator.js';

const PROMETHEUS = Registry.PROMETHEUS_CONTENT_TYPE;
const OPEN_METRICS = Registry.OPENMETRICS_CONTENT_TYPE;

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
    async scrape(
      @Headers('accept') accept: string | undefined,
      @Res({ passthrough: true }) response: unknown,
    ): Promise<string> {
      const { httpAdapter } = this.host;
      const open = prefersOpenMetrics(accept ?? '');
      httpAdapter.setHeader(response, 'Content-Type', open ? OPEN_METRICS : PROMETHEUS);
      httpAdapter.setHeader(response, 'Cache-Control', 'no-store');
      httpAdapter.setHeader(response, 'Vary', 'Accept');
      return open ? this.metrics.scrapeOpenMetrics() : this.metrics.scrape();
    }
  }
  return MetricsController;
}

/** Whether an `Accept` header names OpenMetrics with a quality that no plain text exceeds (RFC 9110, 12.5.1). */
export function prefersOpenMetrics(accept: string): boolean {
  let open = 0;
  let plain = 0;
  for (const range of accept.split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const version = parameters.find((parameter) => parameter.startsWith('version='))?.slice(8);
    const given = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
    const quality = given === undefined ? 1 : Number(given);
    if (type === 'application/openmetrics-text' && (version ?? '1.0.0') === '1.0.0')
      open = Math.max(open, quality);
    else if (type === 'text/plain' || type === 'text/*' || type === '*/*') plain = Math.max(plain, quality);
  }
  return open > 0 && open >= plain;
}
