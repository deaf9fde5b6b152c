import { Body, Controller, Get, Inject, NotFoundException, Param, Post } from '@nestjs/common';
import { HealthRegistry, PrometheusMetrics } from '@sparkle/metrics';
import { Counter, register } from 'prom-client';

/** A metric the application has had all along, on prom-client's process-wide registry. */
const legacy = new Counter({ name: 'orders_seen_total', help: 'Orders looked at', registers: [register] });

@Controller('orders')
export class OrdersController {
  private readonly placed: Counter;
  private shopOpen = true;

  constructor(
    @Inject(PrometheusMetrics) metrics: PrometheusMetrics,
    @Inject(HealthRegistry) health: HealthRegistry,
  ) {
    // One on the module's own registry: it shows on /metrics among all others.
    this.placed = new Counter({ name: 'orders_total', help: 'Orders placed', registers: [metrics.registry] });
    health.register({
      name: 'shop',
      check: async () => {
        if (!this.shopOpen) throw new Error('closed');
      },
    });
  }

  @Post()
  place(): { placed: true } {
    this.placed.inc();
    return { placed: true };
  }

  @Post('shop')
  open(@Body() { open }: { open: boolean }): { open: boolean } {
    this.shopOpen = open;
    return { open };
  }

  @Get(':id')
  one(@Param('id') id: string): { id: string } {
    if (id === 'unknown') throw new NotFoundException();
    legacy.inc();
    return { id };
  }
}
