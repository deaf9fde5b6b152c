import { z } from 'zod';

const KILOBYTES_PER_TEBIBYTE = 1024 ** 3;

/** Bounds of what one tenant's statements may take of the server. */
export const tenantResourcesSchema = z.strictObject({
  /** Connections of the tenant, over all processes. Default 5. */
  connections: z.number().int().min(1).max(1000).default(5),
  /** Server-side limit of one statement. Default 30 s. */
  statementTimeoutMs: z.number().int().min(1).max(3_600_000).default(30_000),
  /** Memory of one sort or hash before it spills to disk (`work_mem`). Default 4 MiB. */
  workMemKb: z.number().int().min(64).max(KILOBYTES_PER_TEBIBYTE).default(4096),
  /** Temporary files of one session (`temp_file_limit`). Default 1 GiB. */
  tempFileLimitKb: z.number().int().min(0).max(KILOBYTES_PER_TEBIBYTE).default(1_048_576),
});

/** What {@link TenantRoles.ensure} takes; what is left out has its default. */
export type TenantResourcesInput = z.input<typeof tenantResourcesSchema>;

/** Bounds of what one tenant's statements may take of the server. */
export type TenantResources = z.output<typeof tenantResourcesSchema>;
