import { Controller, Delete, Get, HttpCode, Inject, Param, Post, Put, Query, Req, Res } from '@nestjs/common';
import { ApiBearerAuth, ApiConsumes, ApiOperation, ApiTags } from '@nestjs/swagger';
import { SemanticCache } from '@sparkle/cache';
import type { Principal } from '@sparkle/contracts';
import { DocumentService, type DocumentUpload, type Submission } from '@sparkle/graphrag';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { Caller } from '../gateway/caller.decorator.js';
import { Scope } from '../gateway/gateway.guard.js';
import { RequestInvalidError } from '../http/errors.js';
import { uuidParam } from '../http/parameters.js';
import { isBodyUpload, isMultipart, readMultipart, UPLOAD_TYPES } from '../http/uploads.js';
import { ZodBody, ZodPipe, ZodQuery } from '../http/zod.pipe.js';

const jsonUpload = z.strictObject({
  title: z.string().optional(),
  text: z.string(),
  format: z.enum(['markdown', 'text', 'html']).default('markdown'),
});

const uploadQuery = z.object({
  title: z.string().optional().describe('Title of a document sent as the plain body'),
});

const page = z.object({
  limit: z.coerce.number().int().min(1).max(200).default(50),
});

type Upload = Pick<DocumentUpload, 'title' | 'format' | 'content'>;

@ApiTags('documents')
@ApiBearerAuth()
@Controller('v1/documents')
export class DocumentsController {
  constructor(
    @Inject(DocumentService) private readonly documents: DocumentService,
    @Inject(SemanticCache) private readonly cache: SemanticCache,
  ) {}

  @Post()
  @Scope('write')
  @ApiOperation({
    summary: 'Upload a document',
    description:
      'Markdown, plain text, HTML or PDF: as JSON (not PDF), as the plain body, or as a form field `file`. ' +
      'Answers 202 with the job that ingests it, or 200 with `duplicate: true` when the tenant has this content ' +
      'already.',
  })
  @ApiConsumes('application/json', ...Object.keys(UPLOAD_TYPES), 'multipart/form-data')
  @ZodBody(jsonUpload)
  @ZodQuery(uploadQuery)
  async upload(
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
    @Query(new ZodPipe(uploadQuery)) query: z.output<typeof uploadQuery>,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const { tenantId, userId } = caller;
    const upload = await uploadOf(request, query.title);
    accept(reply, await this.documents.submit({ tenantId, userId, ...upload }));
  }

  @Put(':id')
  @Scope('write')
  @ApiOperation({
    summary: 'Replace a document by a new version',
    description:
      'Takes what the upload takes. The version is a document with an id of its own; the one before stays until ' +
      'the version is ready, and for good if it fails. Unchanged passages are not embedded again.',
  })
  @ApiConsumes('application/json', ...Object.keys(UPLOAD_TYPES), 'multipart/form-data')
  @ZodBody(jsonUpload)
  @ZodQuery(uploadQuery)
  async replace(
    @Caller() caller: Principal,
    @Param('id', uuidParam) id: string,
    @Req() request: FastifyRequest,
    @Query(new ZodPipe(uploadQuery)) query: z.output<typeof uploadQuery>,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const { tenantId, userId } = caller;
    const upload = await uploadOf(request, query.title);
    accept(reply, await this.documents.replace(id, { tenantId, userId, ...upload }));
  }

  @Get()
  @ApiOperation({ summary: 'List documents, newest first' })
  @ZodQuery(page)
  async list(@Caller() caller: Principal, @Query(new ZodPipe(page)) query: z.output<typeof page>) {
    return { documents: await this.documents.list(caller.tenantId, { limit: query.limit }) };
  }

  @Get(':id')
  @ApiOperation({ summary: 'A document and how far its ingestion is' })
  get(@Caller() caller: Principal, @Param('id', uuidParam) id: string) {
    return this.documents.get(caller.tenantId, id);
  }

  @Delete(':id')
  @Scope('write')
  @HttpCode(204)
  @ApiOperation({ summary: 'Delete a document and what only it contributed to the graph' })
  async delete(@Caller() caller: Principal, @Param('id', uuidParam) id: string): Promise<void> {
    await this.documents.delete(caller.tenantId, id);
    await this.cache.purgeByDocument(caller.tenantId, id);
  }
}

function accept(reply: FastifyReply, { document, job, duplicate }: Submission): void {
  void reply
    .code(duplicate ? 200 : 202)
    .header('location', `/v1/documents/${document.id}`)
    .send({ documentId: document.id, jobId: job.id, state: document.state, duplicate });
}

async function uploadOf(request: FastifyRequest, title?: string): Promise<Upload> {
  if (isMultipart(request)) return readMultipart(request);
  if (isBodyUpload(request.body)) return { title, ...request.body };
  const parsed = new ZodPipe(jsonUpload).transform(request.body);
  if (title !== undefined)
    throw new RequestInvalidError([{ path: 'title', message: 'belongs in the body of a JSON upload' }]);
  return { title: parsed.title, format: parsed.format, content: parsed.text };
}
