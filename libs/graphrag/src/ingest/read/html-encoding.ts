/** A page says its encoding within its first kilobyte; generators with long comments need a little more. */
const PRESCAN_BYTES = 4096;

/**
 * Decodes an HTML file: by its byte order mark, else by the encoding its `<meta>` declares, else as UTF-8.
 * @returns undefined when the bytes are not valid in that encoding, or the encoding is unknown.
 */
export function decodeHtml(bytes: Uint8Array): string | undefined {
  const label = byteOrderMark(bytes) ?? declaredEncoding(bytes) ?? 'utf-8';
  try {
    return new TextDecoder(label, { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function byteOrderMark(bytes: Uint8Array): string | undefined {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return 'utf-8';
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le';
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return 'utf-16be';
  return undefined;
}

/** `<meta charset>` and `<meta http-equiv>`; a page that could be read so far is not UTF-16, whatever it says. */
function declaredEncoding(bytes: Uint8Array): string | undefined {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, PRESCAN_BYTES));
  const head = start.toString('latin1').replace(/<!--[\s\S]*?(?:-->|$)/g, '');
  const declared = /<meta\b[^>]*?\bcharset\s*=\s*["']?\s*([\w:.-]+)/i.exec(head)?.[1]?.toLowerCase();
  return declared?.startsWith('utf-16') ? 'utf-8' : declared;
}
