import { Controller, Get, Post } from '@nestjs/common';
import { RateLimit, WithPermit } from '@sparkle/concurrency';

@Controller('answers')
export class AnswersController {
  private running = 0;

  /** Three an hour and user; at most as many at once as the tenant's plan has permits. */
  @Post()
  @RateLimit({ action: 'answers.ask', userLimit: { limit: 3, windowMs: 3_600_000 } })
  ask() {
    return { answer: 'because' };
  }

  @Post('slow')
  @WithPermit({ name: 'slow-answers' })
  async slow() {
    this.running += 1;
    const together = this.running;
    await new Promise((resolve) => setTimeout(resolve, 200));
    this.running -= 1;
    return { together };
  }

  @Get('health')
  @RateLimit({ skip: true })
  health() {
    return { status: 'ok' };
  }
}
