import { Injectable } from '@nestjs/common';
import { Cached, CacheEvict } from '@sparkle/cache';
import { TenantContext } from '@sparkle/contracts';

export interface Course {
  readonly id: string;
  readonly title: string;
}

/** Stands for a database: every tenant has courses of its own, and each read is counted. */
@Injectable()
export class CourseCatalog {
  reads = 0;
  private readonly titles = new Map<string, string>();

  @Cached<(id: string) => Promise<Course>>({
    namespace: 'courses',
    key: (id) => id,
    tags: (_course, id) => [`course:${id}`],
  })
  async find(id: string): Promise<Course> {
    this.reads += 1;
    return { id, title: this.titles.get(this.row(id)) ?? `Course ${id}` };
  }

  @CacheEvict<(id: string, title: string) => Promise<void>>({
    namespace: 'courses',
    tags: (_result, id) => [`course:${id}`],
  })
  async rename(id: string, title: string): Promise<void> {
    this.titles.set(this.row(id), title);
  }

  private row(id: string): string {
    return `${TenantContext.require().tenantId}/${id}`;
  }
}
