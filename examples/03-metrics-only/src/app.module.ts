import { Module } from '@nestjs/common';
import { MetricsModule } from '@sparkle/metrics';
import { OrdersController } from './orders.controller.js';
import { OwnMetricsController } from './own-metrics.controller.js';

/** All it takes: /metrics, /health/live, /health/ready and /health/performance are there. */
@Module({
  imports: [MetricsModule.forRoot()],
  controllers: [OrdersController, OwnMetricsController],
})
export class AppModule {}
