import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { MetricsOptions, MetricsRoutes } from './metrics.options.js';
import { METRICS_ROUTES, parseMetricsRoutes } from './metrics.options.js';
import { healthController } from './nest/health.controller.js';
import { metricsController } from './nest/metrics.controller.js';

/** What must be known before options are: given beside them to `forRoot` and `forRootAsync`. */
export interface MetricsModuleExtras {
  /** Path of the Prometheus endpoint. Default `metrics`. */
  metricsPath?: string;
  /** Path above `live`, `ready` and `performance`. Default `health`. */
  healthPath?: string;
  /** Put on both controllers, e.g. an application's `@Public()`. */
  controllerDecorators?: ClassDecorator[];
  /** Offer the exported providers everywhere. Default true. */
  isGlobal?: boolean;
}

const DEFAULT_EXTRAS: Required<MetricsModuleExtras> = {
  metricsPath: 'metrics',
  healthPath: 'health',
  controllerDecorators: [],
  isGlobal: true,
};

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } =
  new ConfigurableModuleBuilder<MetricsOptions>({ moduleName: 'Metrics' })
    .setClassMethodName('forRoot')
    .setExtras<MetricsModuleExtras>(DEFAULT_EXTRAS, (definition, extras) => {
      const { metricsPath, healthPath } = parseMetricsRoutes(extras);
      const decorators = extras.controllerDecorators ?? [];
      return {
        ...definition,
        global: extras.isGlobal ?? true,
        providers: [
          ...(definition.providers ?? []),
          { provide: METRICS_ROUTES, useValue: { metricsPath, healthPath } satisfies MetricsRoutes },
        ],
        controllers: [metricsController(metricsPath, decorators), healthController(healthPath, decorators)],
      };
    })
    .build();
