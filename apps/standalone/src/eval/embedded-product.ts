import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { INestApplicationContext } from '@nestjs/common';
import { parseTenantId } from '@sparkle/contracts';
import { type CorpusPassage, type Extractor, IngestionService } from '@sparkle/graphrag';
import {
  createHttpApplication,
  openServices,
  parseEnvironment,
  RuntimeModule,
  TenantRegistry,
  withServices,
} from '@sparkle/runtime';

/** The tenant that evaluations run as, and its user. */
export const EVALUATOR = { tenantId: parseTenantId('evaluation'), userId: 'evaluation', scopes: [] };

/**
 * Runs the product on embedded services in a folder of its own, gone afterwards. Embeddings are not cached: of two
 * systems that are asked the same question, the second one would look faster.
 */
export async function withEmbeddedProduct(
  extractor: Extractor | undefined,
  work: (app: INestApplicationContext) => Promise<void>,
  environment: Readonly<Record<string, string | undefined>> = {},
): Promise<void> {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'sparkle-eval-'));
  try {
    const config = parseEnvironment({ ...environment, SPARKLE_DATA: dataDirectory }, { embedded: true });
    await withServices(await openServices(config), async (services) => {
      const overrides = { embeddingCacheEntries: 0, ...(extractor && { extractor }) };
      const root = {
        module: class Evaluation {},
        imports: [RuntimeModule.forRoot(config, services, overrides)],
      };
      const app = await createHttpApplication(root, config, 1024);
      await app.init();
      await app.get(TenantRegistry).admit(EVALUATOR);
      await work(app);
      await app.close();
      await services.close();
    });
  } finally {
    await rm(dataDirectory, { recursive: true, force: true });
  }
}

/** Those variables that choose models; everything else of the environment is not for evaluations. */
export function modelVariables(
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(environment).filter(([name]) => /^SPARKLE_(?:CHAT|EMBEDDING)_/.test(name)),
  );
}

/** Ingests each passage as one document; resolves to passage id → document id, without those that failed. */
export async function ingestPassages(
  app: INestApplicationContext,
  corpus: readonly CorpusPassage[],
): Promise<ReadonlyMap<string, string>> {
  const { tenantId, userId } = EVALUATOR;
  const uploads = corpus.map(({ title, text }) => ({ userId, title, format: 'text', content: text }));
  const { documents, failures } = await app.get(IngestionService).ingestMany(tenantId, uploads, {
    onProgress: (done, total) => process.stderr.write(`\reval: ${done} of ${total} passages ingested`),
  });
  process.stderr.write('\n');
  for (const { index, code } of failures)
    process.stderr.write(`eval: ${corpus[index]?.id} left out: ${code}\n`);
  return new Map(
    corpus.flatMap(({ id }, index) => {
      const documentId = documents[index];
      return documentId ? [[id, documentId] as const] : [];
    }),
  );
}
