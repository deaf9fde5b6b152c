import { expect, it } from 'vitest';
import type { SystemFiles } from '../ports/system-files.port.js';

/**
 * What every {@link SystemFiles} must do.
 * @param readable path and content of a file the adapter can read, and how many entries its folder has.
 */
export function systemFilesContract(
  open: () => SystemFiles,
  readable: { readonly path: string; readonly text: string; readonly beside: number },
): void {
  it('gives the text of a file', async () => {
    expect(await open().read(readable.path)).toBe(readable.text);
  });

  it('counts the entries of a folder', async () => {
    const folder = readable.path.slice(0, readable.path.lastIndexOf('/'));
    expect(await open().count(folder)).toBe(readable.beside);
  });

  it('gives undefined, and does not throw, for what is no readable file', async () => {
    expect(await open().read('/no/such/file')).toBeUndefined();
    expect(await open().read('/')).toBeUndefined();
    expect(await open().read('')).toBeUndefined();
    expect(await open().count('/no/such/folder')).toBeUndefined();
    expect(await open().count(readable.path)).toBeUndefined();
  });
}
