import { existsSync, readdirSync, readFileSync } from 'node:fs';

/**
 * Layers, innermost last. A package may depend on packages of the layers listed for its own; the tag stands
 * in its package.json under nx.tags.
 */
const MAY_DEPEND_ON = {
  app: ['app', 'composition', 'feature', 'platform', 'contract'],
  bench: ['composition', 'feature', 'platform', 'contract'],
  deploy: ['platform', 'contract'],
  example: ['platform', 'contract'],
  composition: ['feature', 'platform', 'contract'],
  feature: ['platform', 'contract'],
  platform: ['contract'],
  contract: [],
};

const packages = [...children('libs'), ...children('apps'), 'bench', 'deploy', 'examples'].map((folder) => ({
  folder,
  layer: JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'))
    .nx.tags.find((tag) => tag.startsWith('type:'))
    .slice('type:'.length),
}));

function children(group) {
  return readdirSync(group)
    .map((name) => `${group}/${name}`)
    .filter((folder) => existsSync(`${folder}/package.json`));
}

const inside = (list) => `^(${list.map(({ folder }) => folder).join('|')})/`;

const layerRules = packages.map(({ folder, layer }) => {
  const allowed = packages.filter(
    (other) => other.folder === folder || MAY_DEPEND_ON[layer].includes(other.layer),
  );
  return {
    name: `layers: ${folder} (${layer}) may import ${MAY_DEPEND_ON[layer].join(', ') || 'nothing'}`,
    severity: 'error',
    from: { path: `^${folder}/` },
    to: { path: '^(libs|apps|bench|deploy|examples)/', pathNot: inside(allowed) },
  };
});

export default {
  forbidden: [
    ...layerRules,
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-testing-in-production',
      comment: 'testing/ entries are for tests; only tests, benches and other testing code import them',
      severity: 'error',
      from: { path: '/src/', pathNot: '(/testing/|\\.(spec|int-spec|prop-spec|e2e-spec)\\.ts$|^bench/)' },
      to: { path: '/src/testing/' },
    },
    {
      name: 'public-entry-points-only',
      comment: 'another package is imported by an entry point, never by a path into it',
      severity: 'error',
      from: { path: '^((?:libs|apps)/[^/]+)/' },
      to: {
        path: '^(libs|apps)/[^/]+/',
        pathNot: ['^$1/', '/src/index\\.ts$', '/src/(testing|embedded|evaluation)/index\\.ts$'],
      },
    },
    { name: 'resolvable', severity: 'error', from: { pathNot: '/dist/' }, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(/dist/|\\.config\\.ts$)' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.base.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['@sparkle/source', 'import', 'require', 'node', 'default', 'types'],
    },
    combinedDependencies: true,
  },
};
