import { Body, Controller, Get, Param, Post, Query } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { uuidParam } from '../src/http/parameters.js';
import { ZodBody, ZodPipe, ZodQuery } from '../src/http/zod.pipe.js';
import { type HttpApp, startHttpApp } from './http-app.js';

const body = z.strictObject({ name: z.string().min(1), tags: z.array(z.string()).default([]) });
const page = z.object({ limit: z.coerce.number().int().min(1).max(10).default(5) });

@Controller('things')
class ThingsController {
  @Post()
  @ZodBody(body)
  create(@Body(new ZodPipe(body)) thing: z.output<typeof body>) {
    return thing;
  }

  @Get()
  @ZodQuery(page)
  list(@Query(new ZodPipe(page)) query: z.output<typeof page>) {
    return query;
  }

  @Get(':id')
  get(@Param('id', uuidParam) id: string) {
    return { id };
  }
}

describe('ZodPipe', () => {
  let app: HttpApp;
  beforeAll(async () => {
    app = await startHttpApp({ controllers: [ThingsController] });
  });
  afterAll(() => app.close());

  const send = async (path: string, json?: unknown) => {
    const init = json === undefined ? {} : { method: 'POST', body: JSON.stringify(json) };
    const response = await fetch(`${app.address}${path}`, {
      ...init,
      ...(json === undefined ? {} : { headers: { 'content-type': 'application/json' } }),
    });
    // biome-ignore lint/suspicious/noExplicitAny: tests read many shapes; each asserts what it needs.
    return response.json() as Promise<any>;
  };
  const issues = async (path: string, json?: unknown) => {
    const problem = await send(path, json);
    expect(problem).toMatchObject({ status: 400, code: 'REQUEST_INVALID' });
    return (problem.issues as { path: string }[]).map((issue) => issue.path);
  };

  it('hands on the parsed value, with its defaults', async () => {
    expect(await send('/things', { name: 'a' })).toEqual({ name: 'a', tags: [] });
    expect(await send('/things')).toEqual({ limit: 5 });
    expect(await send('/things?limit=7')).toEqual({ limit: 7 });
  });

  it('names every wrong place at once, in a body, a query and a path', async () => {
    expect(await issues('/things', { name: '', tags: ['a', 1] })).toEqual(['name', 'tags.1']);
    expect(await issues('/things', [])).toEqual(['(body)']);
    expect(await issues('/things?limit=eleven')).toEqual(['limit']);
    expect(await issues('/things/not-an-id')).toEqual(['id']);
  });

  it('never repeats a value that was sent', async () => {
    expect(JSON.stringify(await send('/things', { name: 7, tags: 'hunter2' }))).not.toContain('hunter2');
  });

  it('takes a missing body for an empty one', async () => {
    const response = await fetch(`${app.address}/things`, { method: 'POST' });
    expect(await response.json()).toMatchObject({ code: 'REQUEST_INVALID', issues: [{ path: 'name' }] });
  });

  it('describes bodies and queries in OpenAPI', async () => {
    const { paths } = await send('/docs-json');
    expect(paths['/things'].get.parameters).toMatchObject([
      { name: 'limit', in: 'query', required: false, schema: { type: 'integer', maximum: 10 } },
    ]);
    expect(paths['/things'].post.requestBody.content['application/json'].schema).toMatchObject({
      required: ['name'],
      additionalProperties: false,
    });
  });
});
