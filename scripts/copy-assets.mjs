// node copy-assets.mjs FROM TO EXTENSION...: copies the files tsc leaves behind, keeping their folders.
import { cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const [from, to, ...extensions] = process.argv.slice(2);
for (const entry of readdirSync(from, { recursive: true })) {
  if (extensions.some((extension) => entry.endsWith(extension))) cpSync(join(from, entry), join(to, entry));
}
