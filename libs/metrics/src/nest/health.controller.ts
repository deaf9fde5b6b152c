import { applyDecorators, Controller, Get, Inject, Res, type Type, VERSION_NEUTRAL } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { FLEET_MONITOR, FleetMonitor, type FleetReport } from '../core/fleet-monitor.js';
import { HealthRegistry, type ReadinessReport } from '../core/health-registry.js';
import { PerformanceMonitor } from '../core/performance-monitor.js';
import type { PerformanceReport } from '../core/performance-score.js';
import { Unmeasured } from './unmeasured.decorator.js';

/** What `GET /<path>/performance` answers: this process and, where it belongs to a fleet, all others too. */
export interface PerformanceBody extends PerformanceReport {
  readonly scope: 'process';
  readonly fleet?: FleetReport;
}

/** Makes the controller of `GET /<path>/live`, `/ready` and `/performance`; `decorators` are put on its class. */
export function healthController(path: string, decorators: readonly ClassDecorator[]): Type<object> {
  @applyDecorators(...decorators)
  @Unmeasured(true)
  @Controller({ path, version: VERSION_NEUTRAL })
  class HealthController {
    constructor(
      @Inject(HealthRegistry) private readonly health: HealthRegistry,
      @Inject(PerformanceMonitor) private readonly performance: PerformanceMonitor,
      @Inject(FLEET_MONITOR) private readonly fleet: FleetMonitor | undefined,
      @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost,
    ) {}

    @Get('live')
    live(@Res({ passthrough: true }) response: unknown): { status: 'up' } {
      this.forbidStoring(response);
      return { status: 'up' };
    }

    @Get('ready')
    async ready(@Res({ passthrough: true }) response: unknown): Promise<ReadinessReport> {
      const report = await this.health.check();
      this.forbidStoring(response);
      this.host.httpAdapter.status(response, report.status === 'ready' ? 200 : 503);
      return report;
    }

    @Get('performance')
    async score(@Res({ passthrough: true }) response: unknown): Promise<PerformanceBody> {
      this.forbidStoring(response);
      const own = { scope: 'process' as const, ...this.performance.report() };
      return this.fleet ? { ...own, fleet: await this.fleet.report() } : own;
    }

    private forbidStoring(response: unknown): void {
      this.host.httpAdapter.setHeader(response, 'Cache-Control', 'no-store');
    }
  }
  return HealthController;
}
