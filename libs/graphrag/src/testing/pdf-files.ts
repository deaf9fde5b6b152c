import { deflateSync } from 'node:zlib';
import { PDFDocument, type PDFFont, PDFHexString, PDFName, type PDFPage, StandardFonts } from 'pdf-lib';

export interface PdfPiece {
  readonly text: string;
  readonly y: number;
  readonly x?: number;
  readonly size?: number;
}

/** A PDF of pages with pieces of Latin text at given places; 12 points where no size is given. */
export async function makePdf(pages: readonly (readonly PdfPiece[])[], title?: string): Promise<Uint8Array> {
  const { document, font } = await begin(title);
  for (const pieces of pages) {
    const page = document.addPage([420, 600]);
    for (const { text, x = 50, y, size = 12 } of pieces)
      page.drawText(text, { x, y, size, font, lineHeight: size * 1.25 });
  }
  return document.save();
}

async function begin(title?: string): Promise<{ document: PDFDocument; font: PDFFont }> {
  const document = await PDFDocument.create();
  if (title !== undefined) document.setTitle(title);
  return { document, font: await document.embedFont(StandardFonts.Helvetica) };
}

/** A PDF whose one font names its characters in a ToUnicode table, as Chinese PDFs have it. */
export async function makeUnicodePdf(lines: readonly string[]): Promise<Uint8Array> {
  const { document } = await begin();
  const page = document.addPage([420, 600]);
  const characters = [...new Set(lines.join(''))];
  const code = (character: string) => (characters.indexOf(character) + 1).toString(16).padStart(4, '0');
  const table = characters.map((character) => {
    const unicode = character.codePointAt(0)!.toString(16).padStart(4, '0');
    return `<${code(character)}> <${unicode}>`;
  });
  const toUnicode = `/CIDInit /ProcSet findresource begin begincmap /CMapName /X def /CMapType 2 def
1 begincodespacerange <0000> <ffff> endcodespacerange
${table.length} beginbfchar ${table.join('\n')} endbfchar endcmap end`;
  const { context } = document;
  const descriptor = context.obj({
    Type: 'FontDescriptor',
    FontName: 'Song',
    Flags: 4,
    FontBBox: [0, -200, 1000, 900],
    ItalicAngle: 0,
    Ascent: 900,
    Descent: -200,
    CapHeight: 700,
    StemV: 80,
  });
  const descendant = context.obj({
    Type: 'Font',
    Subtype: 'CIDFontType2',
    BaseFont: 'Song',
    CIDSystemInfo: {
      Registry: PDFHexString.fromText('Adobe'),
      Ordering: PDFHexString.fromText('Identity'),
      Supplement: 0,
    },
    DW: 1000,
    FontDescriptor: context.register(descriptor),
  });
  const font = context.register(
    context.obj({
      Type: 'Font',
      Subtype: 'Type0',
      BaseFont: 'Song',
      Encoding: 'Identity-H',
      DescendantFonts: [context.register(descendant)],
      ToUnicode: context.register(context.flateStream(toUnicode)),
    }),
  );
  page.node.setFontDictionary(PDFName.of('Song'), font);
  const shown = lines.map((line) => `<${[...line].map(code).join('')}> Tj T*`).join(' ');
  setContent(page, context.flateStream(`BT /Song 12 Tf 15 TL 50 500 Td ${shown} ET`));
  return document.save();
}

/** A PDF of one empty page, as a scanner makes it but for the picture. */
export async function makeBlankPdf(): Promise<Uint8Array> {
  const { document } = await begin();
  document.addPage([420, 600]);
  return document.save();
}

/** A small PDF whose only page inflates to `bytes` bytes of drawing instructions. */
export async function makePdfBomb(bytes: number): Promise<Uint8Array> {
  const { document } = await begin();
  const page = document.addPage([420, 600]);
  // Deflated twice: what inflates to gigabytes is a few kilobytes.
  const packed = deflateSync(deflateSync(Buffer.alloc(bytes, ' '), { level: 9 }), { level: 9 });
  const filters = { Filter: ['FlateDecode', 'FlateDecode'] };
  setContent(page, document.context.stream(packed, filters));
  return document.save();
}

/** A PDF that says it is encrypted, by a password nobody has. */
export async function makeEncryptedPdf(): Promise<Uint8Array> {
  const { document, font } = await begin();
  document.addPage([420, 600]).drawText('Secret', { x: 50, y: 500, font });
  const { context } = document;
  const noise = PDFHexString.of('ab'.repeat(32));
  context.trailerInfo.ID = context.obj([PDFHexString.of('00'.repeat(16)), PDFHexString.of('00'.repeat(16))]);
  context.trailerInfo.Encrypt = context.register(
    context.obj({ Filter: 'Standard', V: 2, R: 3, Length: 128, P: -4, O: noise, U: noise }),
  );
  return document.save({ useObjectStreams: false });
}

function setContent(page: PDFPage, stream: Parameters<PDFPage['doc']['context']['register']>[0]): void {
  page.node.set(PDFName.of('Contents'), page.doc.context.register(stream));
}
