import { defineConfig } from 'vitest/config';

const setup = new URL('./vitest.setup.ts', import.meta.url).pathname;

// Vite transforms with Oxc, which reads experimentalDecorators and emitDecoratorMetadata from tsconfig.json.
export default defineConfig({
  resolve: { conditions: ['@sparkle/source'] },
  ssr: { resolve: { conditions: ['@sparkle/source'] } },
  test: {
    environment: 'node',
    setupFiles: [setup],
    include: ['{src,test}/**/*.{spec,int-spec,prop-spec,e2e-spec}.ts'],
    testTimeout: 30_000,
    hookTimeout: 120_000,
  },
});
