import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { INestApplicationContext } from '@nestjs/common';
import type { Extractor } from '@sparkle/graphrag';
import {
  createHttpApplication,
  openServices,
  parseEnvironment,
  RuntimeModule,
  withServices,
} from '@sparkle/runtime';

/**
 * Runs the product on embedded services in a folder of its own, gone afterwards. Embeddings are not cached: of two
 * systems that are asked the same question, the second one would look faster.
 */
export async function withEmbeddedProduct(
  extractor: Extractor | undefined,
  work: (app: INestApplicationContext) => Promise<void>,
): Promise<void> {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'sparkle-eval-'));
  try {
    const config = parseEnvironment({ SPARKLE_DATA: dataDirectory }, { embedded: true });
    await withServices(await openServices(config), async (services) => {
      const overrides = { embeddingCacheEntries: 0, ...(extractor && { extractor }) };
      const root = {
        module: class Evaluation {},
        imports: [RuntimeModule.forRoot(config, services, overrides)],
      };
      const app = await createHttpApplication(root, config, 1024);
      await app.init();
      await work(app);
      await app.close();
      await services.close();
    });
  } finally {
    await rm(dataDirectory, { recursive: true, force: true });
  }
}
