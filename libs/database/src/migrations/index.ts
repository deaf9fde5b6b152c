import type { SchemaMigration } from '@sparkle/contracts';
import { EmbeddingDimensionsInvalidError } from '../errors.js';
import { initialSchema } from './0001-initial-schema.js';
import { tenantIsolation } from './0002-tenant-isolation.js';
import { searchUnderRowSecurity } from './0003-search-under-row-security.js';
import { indexCoverage } from './0005-index-coverage.js';
import { wordsOfMessages } from './0008-words-of-messages.js';

export { TENANT_TABLES } from './0001-initial-schema.js';

/**
 * This library's schema, for embeddings of `dimensions` numbers.
 * @throws EmbeddingDimensionsInvalidError when an HNSW index cannot hold such vectors.
 */
export function databaseMigrations(dimensions: number): readonly SchemaMigration[] {
  if (!Number.isInteger(dimensions) || dimensions < 1 || dimensions > 2000)
    throw new EmbeddingDimensionsInvalidError();
  return [initialSchema(dimensions), tenantIsolation, searchUnderRowSecurity, indexCoverage, wordsOfMessages];
}
