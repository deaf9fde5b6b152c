import { readFile } from 'node:fs/promises';
import { type Principal, parseTenantId } from '@sparkle/contracts';
import type { CourseLoader, CourseLoadResult } from '@sparkle/graphrag';
import type { TenantRegistry } from '@sparkle/runtime';

/** Whose tenant the sample course belongs to. */
export const DEMO: Principal = {
  tenantId: parseTenantId('demo'),
  userId: 'course',
  scopes: ['read', 'write'],
};

const FOLDER = new URL('../../course/', import.meta.url);

/** Loads the sample machine-learning course for the tenant `demo`; again, it changes nothing. */
export async function loadSampleCourse(
  loader: CourseLoader,
  tenants: TenantRegistry,
): Promise<CourseLoadResult> {
  await tenants.admit(DEMO);
  const course = JSON.parse(await readFile(new URL('course.json', FOLDER), 'utf8')) as {
    groups: readonly { page: string }[];
  };
  const pages = await Promise.all(
    course.groups.map(
      async ({ page }) => [page, await readFile(new URL(`pages/${page}`, FOLDER), 'utf8')] as const,
    ),
  );
  return loader.load(DEMO.tenantId, {
    course,
    pages: Object.fromEntries(pages),
    userId: DEMO.userId,
    mode: 'now',
  });
}
