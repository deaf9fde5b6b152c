import { Body, Controller, Get, HttpCode, Inject, Param, Post, Query } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Principal } from '@sparkle/contracts';
import { type EntityResolution, EntityResolutionService } from '@sparkle/graphrag';
import { z } from 'zod';
import { Caller } from '../gateway/caller.decorator.js';
import { Scope } from '../gateway/gateway.guard.js';
import { uuidParam } from '../http/parameters.js';
import { ZodBody, ZodPipe, ZodQuery } from '../http/zod.pipe.js';

const reason = z.string().min(1).max(500).describe('Why; stands in the log');
const mergeBody = z.strictObject({
  mergeIds: z.array(z.uuid()).min(1).max(50).describe('Entities that are the same as the one of the path'),
  reason,
});
const splitBody = z.strictObject({
  documentIds: z.array(z.uuid()).min(1).max(1000).describe('Documents that mean something else by the name'),
  name: z.string().min(1).max(160).optional().describe('What to call it, e.g. "Mercury (element)"'),
  reason,
});
const undoBody = z.strictObject({ reason });
const page = z.object({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  before: z.coerce
    .number()
    .int()
    .min(1)
    .optional()
    .describe('Number of the last decision of the page before'),
  entity: z.uuid().optional().describe('Only decisions about this entity'),
});

/** Decisions about which names are one entity; for administrators. */
@ApiTags('graph')
@ApiBearerAuth()
@Controller('v1/graph')
@Scope('admin')
export class ResolutionsController {
  constructor(@Inject(EntityResolutionService) private readonly resolutions: EntityResolutionService) {}

  @Post('entities/:id/merge')
  @HttpCode(200)
  @ApiOperation({ summary: 'Say that entities are one: the one of the path stays' })
  @ZodBody(mergeBody)
  async merge(
    @Caller() caller: Principal,
    @Param('id', uuidParam) id: string,
    @Body(new ZodPipe(mergeBody)) body: z.output<typeof mergeBody>,
  ) {
    const request = { ...body, keepId: id, actor: caller.userId };
    return viewOf(await this.resolutions.merge(caller.tenantId, request));
  }

  @Post('entities/:id/split')
  @HttpCode(200)
  @ApiOperation({ summary: 'Say that some documents mean another entity by the name' })
  @ZodBody(splitBody)
  async split(
    @Caller() caller: Principal,
    @Param('id', uuidParam) id: string,
    @Body(new ZodPipe(splitBody)) body: z.output<typeof splitBody>,
  ) {
    const request = { ...body, nodeId: id, actor: caller.userId };
    return viewOf(await this.resolutions.split(caller.tenantId, request));
  }

  @Get('resolutions')
  @ApiOperation({ summary: 'Merges, splits and undos, by users and by rules, newest first' })
  @ZodQuery(page)
  async list(
    @Caller() caller: Principal,
    @Query(new ZodPipe(page)) { limit, before, entity }: z.output<typeof page>,
  ) {
    const listed = await this.resolutions.list(caller.tenantId, { limit, before, nodeId: entity });
    return { resolutions: listed.map(viewOf) };
  }

  @Post('resolutions/:id/undo')
  @HttpCode(200)
  @ApiOperation({ summary: 'Take a merge or split back' })
  @ZodBody(undoBody)
  async undo(
    @Caller() caller: Principal,
    @Param('id', uuidParam) id: string,
    @Body(new ZodPipe(undoBody)) body: z.output<typeof undoBody>,
  ) {
    const request = { ...body, resolutionId: id, actor: caller.userId };
    return viewOf(await this.resolutions.undo(caller.tenantId, request));
  }
}

function viewOf({ createdAt, ...resolution }: EntityResolution) {
  return { ...resolution, createdAt: new Date(createdAt).toISOString() };
}
