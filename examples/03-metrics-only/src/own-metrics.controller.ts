import { Controller, Get } from '@nestjs/common';
import { register } from 'prom-client';

/** The application's own endpoint for the process-wide registry, which the module leaves alone. */
@Controller('own-metrics')
export class OwnMetricsController {
  @Get()
  scrape(): Promise<string> {
    return register.metrics();
  }
}
