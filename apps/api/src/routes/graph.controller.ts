import { Controller, Get, Inject, Param, Query } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Principal } from '@sparkle/contracts';
import { GraphService } from '@sparkle/graphrag';
import { z } from 'zod';
import { Caller } from '../gateway/caller.decorator.js';
import { uuidParam } from '../http/parameters.js';
import { ZodPipe, ZodQuery } from '../http/zod.pipe.js';

const search = z.object({
  q: z.string().describe('A name, an alias or something like it'),
  limit: z.coerce.number().int().min(1).max(100).default(20),
});
const around = z.object({
  depth: z.coerce.number().int().min(1).max(3).default(1),
  limit: z.coerce.number().int().min(1).max(500).default(50),
});
const between = z.object({
  from: z.string().describe('An id, a name or an alias'),
  to: z.string().describe('An id, a name or an alias'),
  k: z.coerce.number().int().min(1).max(10).default(3),
});

@ApiTags('graph')
@ApiBearerAuth()
@Controller('v1/graph')
export class GraphController {
  constructor(@Inject(GraphService) private readonly graph: GraphService) {}

  @Get('entities')
  @ApiOperation({ summary: 'Find entities by name' })
  @ZodQuery(search)
  async entities(
    @Caller() caller: Principal,
    @Query(new ZodPipe(search)) { q, limit }: z.output<typeof search>,
  ) {
    return { entities: await this.graph.searchEntities(caller.tenantId, q, limit) };
  }

  @Get('neighbourhood/:id')
  @ApiOperation({ summary: 'What surrounds an entity' })
  @ZodQuery(around)
  neighbourhood(
    @Caller() caller: Principal,
    @Param('id', uuidParam) id: string,
    @Query(new ZodPipe(around)) options: z.output<typeof around>,
  ) {
    return this.graph.neighbourhood(caller.tenantId, id, options);
  }

  @Get('paths')
  @ApiOperation({ summary: 'How two entities are connected' })
  @ZodQuery(between)
  async paths(
    @Caller() caller: Principal,
    @Query(new ZodPipe(between)) { from, to, k }: z.output<typeof between>,
  ) {
    return { paths: await this.graph.paths(caller.tenantId, from, to, { k }) };
  }
}
