import { readdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe } from 'vitest';
import { FakeSystemFiles } from '../../testing/fake-system-files.js';
import { systemFilesContract } from '../../testing/system-files.contract.js';
import { NodeSystemFiles } from './node-system-files.js';

const path = fileURLToPath(import.meta.url);

describe('NodeSystemFiles', () => {
  systemFilesContract(() => new NodeSystemFiles(), {
    path,
    text: readFileSync(path, 'utf8'),
    beside: readdirSync(dirname(path)).length,
  });
});

describe('FakeSystemFiles', () => {
  systemFilesContract(() => new FakeSystemFiles({ '/proc/stat': 'cpu 1' }), {
    path: '/proc/stat',
    text: 'cpu 1',
    beside: 1,
  });
});
