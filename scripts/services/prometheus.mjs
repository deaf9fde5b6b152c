import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { apt, aptUpdate, run, ServicesError, which } from './shell.mjs';

/**
 * The folder with `prometheus` and `promtool`. Where they are not installed, Debian's package is unpacked under
 * `cacheDir`: installing it would start a service.
 */
export function prometheusPrograms(cacheDir, log) {
  const installed = which('promtool');
  if (installed && which('prometheus')) return join(installed, '..');
  const tree = join(cacheDir, `prometheus-${process.arch}`);
  const bin = join(tree, 'usr/bin');
  if (existsSync(join(bin, 'promtool'))) return bin;
  if (!which('apt-get'))
    throw new ServicesError('this is not Debian: install prometheus (with promtool) by hand');
  log('unpacking Prometheus');
  const work = mkdtempSync(join(cacheDir, 'prometheus-'));
  try {
    const download = () => apt(['download', 'prometheus'], { cwd: work });
    try {
      download();
    } catch {
      aptUpdate();
      download();
    }
    const archive = readdirSync(work).find((name) => name.endsWith('.deb'));
    run('dpkg-deb', ['-x', join(work, archive), join(work, 'tree')]);
    rmSync(tree, { recursive: true, force: true });
    renameSync(join(work, 'tree'), tree);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return bin;
}
