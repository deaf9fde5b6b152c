import rehypeParse from 'rehype-parse';
import rehypeRemark from 'rehype-remark';
import remarkGfm from 'remark-gfm';
import remarkStringify, { type Options as StringifyOptions } from 'remark-stringify';
import { unified } from 'unified';
import { decodeHtml } from './html-encoding.js';
import { cleanText, cleanTitle, type ReadRequest, type ReadResult, refused } from './read-result.js';

const parser = unified().use(rehypeParse).freeze();
type HtmlRoot = ReturnType<typeof parser.parse>;
type HtmlNode = HtmlRoot | HtmlRoot['children'][number];
type HtmlElement = Extract<HtmlNode, { type: 'element' }>;

/** Holds no text of the page, or a copy of it for other readers. */
const SILENT = new Set(
  (
    'script style noscript template iframe object embed svg canvas math video audio map link meta base head ' +
    'button input select textarea datalist dialog menu'
  ).split(' '),
);
/** What stands around a page's text on every page of a site. */
const BOILERPLATE = new Set(['nav', 'footer', 'aside']);
const BOILERPLATE_ROLES = new Set([
  'navigation',
  'banner',
  'contentinfo',
  'search',
  'complementary',
  'dialog',
]);

/**
 * Writes prose as it reads: characters as they are (a citation quotes them), no marks of emphasis, no addresses
 * of links. Only what would end a table's cell, or make a paragraph's start a heading or fence, is escaped.
 */
const HANDLERS: StringifyOptions['handlers'] = {
  text: (node: { value: string }, _parent, state) => {
    const value = node.value.replace(/^(#{1,6}(?=\s)|```|~~~)/, '\\$1');
    return state.stack.includes('tableCell') ? value.replaceAll('|', '\\|') : value;
  },
  emphasis: (node, _parent, state, info) => state.containerPhrasing(node, info),
  strong: (node, _parent, state, info) => state.containerPhrasing(node, info),
  delete: (node, _parent, state, info) => state.containerPhrasing(node, info),
  link: (node, _parent, state, info) => state.containerPhrasing(node, info),
  image: (node: { alt?: string | null }) => node.alt ?? '',
  break: () => '\n',
};

const writer = unified()
  .use(rehypeRemark)
  .use(remarkGfm, { tablePipeAlign: false, tableCellPadding: true })
  .use(remarkStringify, { bullet: '-', fences: true, listItemIndent: 'one', rule: '-', handlers: HANDLERS })
  .freeze();

/**
 * Turns a web page into Markdown: headings, paragraphs, lists, tables, quotes and code; of a page with one
 * `<main>` or `<article>`, that part alone. Navigation, scripts, forms' controls and what is hidden are left
 * out. Malformed markup reads as browsers read it.
 */
export function readHtml({ bytes, limitBytes }: ReadRequest): ReadResult {
  const html = decodeHtml(bytes);
  if (html === undefined) return refused('encoding');
  try {
    const root = parser.parse(html);
    const title = cleanTitle(textOf(find(root, 'title')[0]) ?? textOf(find(root, 'h1')[0]));
    const read = markdownOf(contentOf(root, true)) || markdownOf(contentOf(root, false));
    const size = Buffer.byteLength(read);
    if (size > limitBytes) return refused('too-large', size);
    return { kind: 'text', text: read, title, pageStarts: [] };
  } catch (error) {
    // Parser and writer recurse: markup nested beyond their stack is markup nobody wrote to be read.
    if (error instanceof RangeError) return refused('too-deep');
    throw error;
  }
}

function markdownOf(root: HtmlRoot): string {
  const text = cleanText(writer.stringify(writer.runSync(root)));
  return /[\p{L}\p{N}]/u.test(text) ? text.replace(/\n{3,}/g, '\n\n').trim() : '';
}

/** The page's text without its frame; with `strict` false, also what looks like a frame. */
function contentOf(root: HtmlRoot, strict: boolean): HtmlRoot {
  const kept = strict ? (mainPart(root) ?? root) : root;
  return { type: 'root', children: keptChildren(kept, strict) as HtmlRoot['children'] };
}

function mainPart(root: HtmlRoot): HtmlElement | undefined {
  const visible = (element: HtmlElement) => !isLeftOut(element, true);
  const main = find(root, 'main').filter(visible);
  if (main.length === 1) return main[0];
  const articles = find(root, 'article').filter(visible);
  return articles.length === 1 ? articles[0] : undefined;
}

function keptChildren(node: HtmlRoot | HtmlElement, strict: boolean): HtmlNode[] {
  const kept: HtmlNode[] = [];
  for (const child of node.children) {
    if (child.type === 'text') kept.push(child);
    else if (child.type === 'element' && !isLeftOut(child, strict))
      kept.push({ ...child, children: keptChildren(child, strict) as HtmlElement['children'] });
  }
  return kept;
}

function isLeftOut({ tagName, properties }: HtmlElement, strict: boolean): boolean {
  if (SILENT.has(tagName)) return true;
  if (properties.hidden !== undefined && properties.hidden !== false) return true;
  if (String(properties.ariaHidden) === 'true') return true;
  if (/(?:display\s*:\s*none|visibility\s*:\s*hidden)/i.test(String(properties.style ?? ''))) return true;
  return strict && (BOILERPLATE.has(tagName) || BOILERPLATE_ROLES.has(String(properties.role)));
}

function find(root: HtmlRoot, tagName: string): HtmlElement[] {
  const found: HtmlElement[] = [];
  const open: HtmlNode[] = [root];
  for (let node = open.pop(); node; node = open.pop()) {
    if (node.type === 'element' && node.tagName === tagName) found.push(node);
    if ('children' in node) open.push(...(node.children as HtmlNode[]).toReversed());
  }
  return found;
}

function textOf(element: HtmlElement | undefined): string | undefined {
  if (!element) return undefined;
  const parts: string[] = [];
  const open: HtmlNode[] = [element];
  for (let node = open.pop(); node; node = open.pop()) {
    if (node.type === 'text') parts.push(node.value);
    if ('children' in node) open.push(...(node.children as HtmlNode[]).toReversed());
  }
  return parts.join('');
}
