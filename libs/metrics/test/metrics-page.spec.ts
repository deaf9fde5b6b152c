import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { metricsPage } from './metrics-page.js';

const page = fileURLToPath(new URL('../../../docs/metrics.md', import.meta.url));

describe('docs/metrics.md', () => {
  it('lists every metric as the code has it', async () => {
    await expect(metricsPage()).toMatchFileSnapshot(page);
  });
});
