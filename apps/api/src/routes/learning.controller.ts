import { Body, Controller, Get, HttpCode, Inject, Post, Query, Res } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { RateLimit } from '@sparkle/concurrency';
import type { Principal } from '@sparkle/contracts';
import { type LearningPath, LearningPathService, StudyService } from '@sparkle/graphrag';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { Caller } from '../gateway/caller.decorator.js';
import { ZodBody, ZodPipe, ZodQuery } from '../http/zod.pipe.js';

const pathRequest = z.strictObject({
  target: z.string().min(1).max(300).describe('What to learn: an id, a name or an alias'),
  mastered: z
    .array(z.string().min(1).max(300))
    .max(200)
    .optional()
    .describe('What the learner masters beyond what study records say'),
});

const studyRecord = z.strictObject({
  clientId: z.string().min(1).max(200).optional().describe('The same id recorded again changes nothing'),
  node: z.string().min(1).max(300).optional().describe('What was studied: an id, a name or an alias'),
  activity: z.string().describe('A lower-case word such as read, watch, exercise, quiz or review'),
  durationSeconds: z.int().min(0).max(86_400),
  score: z.number().min(0).max(1).optional().describe('Share of right answers; moves the mastery level'),
  mastered: z.boolean().optional().describe('Sets mastery outright'),
  studyTime: z.iso.datetime({ offset: true }).optional().describe('Default: now'),
});

const begun = z.object({
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  mastered: z
    .enum(['true', 'false'])
    .transform((value) => value === 'true')
    .optional()
    .describe('Only concepts that are mastered, or only those that are not'),
});

const period = z.object({ days: z.coerce.number().int().min(1).max(366).default(7) });

@ApiTags('learning')
@ApiBearerAuth()
@Controller('v1')
export class LearningController {
  constructor(
    @Inject(LearningPathService) private readonly paths: LearningPathService,
    @Inject(StudyService) private readonly study: StudyService,
  ) {}

  @Post('learning-paths')
  @HttpCode(200)
  @RateLimit({ action: 'learning-paths' })
  @ApiOperation({ summary: 'What to learn, in which order and why, to reach a concept' })
  @ZodBody(pathRequest)
  async plan(
    @Caller() { tenantId, userId }: Principal,
    @Body(new ZodPipe(pathRequest)) { target, mastered }: z.output<typeof pathRequest>,
  ) {
    return withReasons(
      await this.paths.plan({ tenantId, userId, target, ...(mastered ? { mastered } : {}) }),
    );
  }

  @Post('study-records')
  @ApiOperation({ summary: 'Record what a learner did' })
  @ZodBody(studyRecord)
  async record(
    @Caller() { tenantId, userId }: Principal,
    @Body(new ZodPipe(studyRecord)) body: z.output<typeof studyRecord>,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const { studyTime, ...record } = body;
    const receipt = await this.study.record({
      tenantId,
      userId,
      ...record,
      studyTime: studyTime === undefined ? undefined : Date.parse(studyTime),
    });
    void reply.code(receipt.recorded ? 201 : 200).send(receipt);
  }

  @Get('progress')
  @ApiOperation({ summary: "A learner's last days" })
  @ZodQuery(period)
  progress(
    @Caller() { tenantId, userId }: Principal,
    @Query(new ZodPipe(period)) { days }: z.output<typeof period>,
  ) {
    return this.study.progress(tenantId, userId, days);
  }

  @Get('progress/nodes')
  @ApiOperation({ summary: 'What a learner has begun, those studied last first' })
  @ZodQuery(begun)
  async nodes(
    @Caller() { tenantId, userId }: Principal,
    @Query(new ZodPipe(begun)) query: z.output<typeof begun>,
  ) {
    return { nodes: await this.study.nodes(tenantId, userId, query) };
  }
}

/** Each step with one sentence that says why it is there. */
function withReasons(path: LearningPath) {
  return {
    ...path,
    steps: path.steps.map((step) => ({
      ...step,
      reason:
        step.neededFor
          .map(({ forName, reason }) => `Needed for ${forName}${reason ? `: ${reason}` : '.'}`)
          .join(' ') || 'This is what you want to learn.',
    })),
  };
}
