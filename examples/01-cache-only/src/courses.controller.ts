import { Body, Controller, Get, Inject, Param, Put, UseInterceptors } from '@nestjs/common';
import { CacheInterceptor, HttpCache } from '@sparkle/cache';
import { type Course, CourseCatalog } from './course-catalog.js';

@Controller('courses')
export class CoursesController {
  constructor(@Inject(CourseCatalog) private readonly catalog: CourseCatalog) {}

  @Get('reads')
  reads() {
    return { reads: this.catalog.reads };
  }

  /** The same answer for every user of a tenant, with `ETag` and 304. */
  @Get(':id')
  @UseInterceptors(CacheInterceptor)
  @HttpCache({ namespace: 'courses', shared: true, tags: ['course::id'] })
  find(@Param('id') id: string): Promise<Course> {
    return this.catalog.find(id);
  }

  @Put(':id')
  async rename(@Param('id') id: string, @Body() { title }: { title: string }): Promise<Course> {
    await this.catalog.rename(id, title);
    return { id, title };
  }
}
