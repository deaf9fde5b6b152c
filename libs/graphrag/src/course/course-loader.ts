import { Inject, Injectable } from '@nestjs/common';
import { TenantDatabase, type TenantId } from '@sparkle/contracts';
import { CourseInvalidError } from '../errors.js';
import { DocumentService, type Submission } from '../ingest/document.service.js';
import { IngestionService } from '../ingest/ingestion.service.js';
import { type Course, parseCourse } from './course.schema.js';
import { bilingual, outlineText } from './course-outline.js';

export interface CourseLoadRequest {
  /** Content of a course file, as parsed JSON; checked here. */
  readonly course: unknown;
  /** Text of each group's page by file name. */
  readonly pages: Readonly<Record<string, string>>;
  /** Whose upload the documents count as. */
  readonly userId: string;
  /**
   * `queue` (default) leaves the pages to the workers; `now` ingests them before returning. The outline, which
   * the pages' concepts are found by, is always ingested first.
   */
  readonly mode?: 'queue' | 'now';
  readonly signal?: AbortSignal;
}

export interface CourseLoadResult {
  readonly courseId: string;
  readonly version: string;
  readonly concepts: number;
  readonly prerequisites: number;
  readonly outlineDocumentId: string;
  /** By page file: its document, and the job that reads it. */
  readonly pages: Readonly<Record<string, { readonly documentId: string; readonly jobId: string }>>;
  /** Documents of earlier versions that were deleted. */
  readonly removed: number;
}

/**
 * Brings a course into a tenant's graph. Its structure becomes a document of its own, the outline, whose passages
 * are the evidence of every concept and edge: deleting that document takes the course out again. Loading the same
 * version twice changes nothing; a new version replaces the one before, concepts that stay keep their learners'
 * mastery.
 */
@Injectable()
export class CourseLoader {
  constructor(
    @Inject(TenantDatabase) private readonly database: TenantDatabase,
    @Inject(DocumentService) private readonly documents: DocumentService,
    @Inject(IngestionService) private readonly ingestion: IngestionService,
  ) {}

  /**
   * @throws CourseInvalidError listing every mistake, missing pages among them; nothing is written then.
   * @throws DocumentError when a page cannot be read as a document.
   * @throws TenantUnknownError when the tenant is not registered.
   */
  async load(tenantId: TenantId, request: CourseLoadRequest): Promise<CourseLoadResult> {
    const course = parseCourse(request.course);
    const missing = course.groups.flatMap((group, index) =>
      group.page === undefined || Object.hasOwn(request.pages, group.page)
        ? []
        : [`groups[${index}].page: no such file`],
    );
    if (missing.length > 0) throw new CourseInvalidError(missing);

    const outline = await this.documents.submit({
      tenantId,
      userId: request.userId,
      title: course.title,
      format: 'markdown',
      content: outlineText(course),
      attributes: { courseId: course.id, courseVersion: course.version, courseRole: 'outline', course },
    });
    const job = await this.ingestion.process({
      tenantId,
      jobId: outline.job.id,
      ...(request.signal && { signal: request.signal }),
    });
    if (job.state !== 'completed') throw new CourseInvalidError([`outline: ${job.error?.message}`]);
    const pages = await this.submitPages(tenantId, course, request);
    const current = [outline.document.id, ...Object.values(pages).map((page) => page.documentId)];
    return {
      courseId: course.id,
      version: course.version,
      concepts: course.concepts.length,
      prerequisites: course.concepts.reduce((sum, concept) => sum + concept.prerequisites.length, 0),
      outlineDocumentId: outline.document.id,
      pages,
      removed: await this.removeOthers(tenantId, course.id, current),
    };
  }

  private async submitPages(
    tenantId: TenantId,
    course: Course,
    request: CourseLoadRequest,
  ): Promise<Record<string, { documentId: string; jobId: string }>> {
    const pages: Record<string, { documentId: string; jobId: string }> = {};
    for (const group of course.groups) {
      request.signal?.throwIfAborted();
      if (group.page === undefined) continue;
      const submission: Submission = await this.documents.submit({
        tenantId,
        userId: request.userId,
        title: bilingual(group.title, group.titleZh),
        format: 'markdown',
        content: request.pages[group.page]!,
        attributes: { courseId: course.id, courseRole: 'page', group: group.id },
      });
      pages[group.page] = { documentId: submission.document.id, jobId: submission.job.id };
      if (request.mode === 'now')
        await this.ingestion.process({
          tenantId,
          jobId: submission.job.id,
          ...(request.signal && { signal: request.signal }),
        });
    }
    return pages;
  }

  /** Deletes the course's documents that this version does not have. */
  private async removeOthers(
    tenantId: TenantId,
    courseId: string,
    current: readonly string[],
  ): Promise<number> {
    const old = await this.database.withTenant(tenantId, (sql) =>
      sql.query<{ id: string }>(
        `SELECT id FROM documents
         WHERE tenant_id = $1 AND attributes->>'courseId' = $2 AND NOT id = ANY($3::uuid[])`,
        [tenantId, courseId, current],
      ),
    );
    for (const { id } of old) await this.documents.delete(tenantId, id);
    return old.length;
  }
}
