import type { EntitySpan } from './english-spans.js';

const TITLE = /《([^《》\n]{1,60})》|「([^「」\n]{1,40})」|『([^『』\n]{1,40})』/g;
const QUOTED = /“([^“”\n]{2,24})”/g;
const YEAR = /(?:1[0-9]|20)\d\d(?=年)/g;
const GLOSS =
  /([\p{Script=Han}A-Za-z0-9+#-]{2,24})[（(](?:(?:英语|英文|英)[:：]\s?)?([A-Za-z][A-Za-z0-9 \-+#'’.]{1,60})(?:[，,、；]\s*(?:简称|缩写)?为?[:：]?\s?([A-Z][A-Za-z]{1,9}))?[）)]/gu;
/** The last word of a Chinese technical term or of an institution's or place's name. */
const HEAD =
  /^(?:算法|模型|网络|函数|定理|方法|学习|分析|理论|系统|技术|机制|分布|回归|分类|分类器|聚类|矩阵|向量|空间|概率|统计|估计|优化|下降|传播|过程|结构|语言|编程|数据|数据库|原理|定律|方程|变换|推断|检验|采样|特征|大学|公司|学院|研究所|研究院|集团|银行|省|市|县|区|河|山|湖)$/;
/** The segmenter gives the end of `支持向量机` to the word after it. */
const TERM_ENDING = /^[机器法率值图树层]/;
const INSTITUTION = /(?:大学|公司|学院|研究所|研究院|集团|银行)$/;
const MODIFIER_STOP =
  /^(?:他在|她在|它在|他们|她们|指|指的是|是指|都是|均|皆|机都|也是|就是|即|称|又称|提出|发明|发现|位于|成立|出生|后来|必须|应该|的|是|在|和|与|或|及|了|有|对|把|被|让|使|将|为|从|到|由|于|也|都|就|而|但|这|那|这个|那个|一个|一种|一些|我们|你们|他们|它|他|她|其|该|此|可以|可能|需要|通过|使用|利用|进行|以及|如果|因为|所以|比较|非常|很|更|最|不|没有|什么|怎么|如何|为什么|哪些|哪个|每个|所有|许多|学习|理解|掌握|属于|包括|用于|基于)$/;

let segmenter: Intl.Segmenter | undefined;

/** Titles, quoted names, years, glosses such as `支持向量机（Support Vector Machine）` and compound terms. */
export function findChineseSpans(text: string): EntitySpan[] {
  const spans: EntitySpan[] = [];
  for (const match of text.matchAll(TITLE)) {
    const name = match[1] ?? match[2] ?? match[3]!;
    const start = match.index + 1;
    spans.push({ start, end: start + name.length, name, type: 'work', confidence: 0.9 });
  }
  for (const match of text.matchAll(QUOTED)) {
    const start = match.index + 1;
    spans.push({ start, end: start + match[1]!.length, name: match[1]!, type: 'term', confidence: 0.6 });
  }
  for (const match of text.matchAll(YEAR)) {
    spans.push({ start: match.index, end: match.index + 4, name: match[0], type: 'date', confidence: 0.9 });
  }
  spans.push(...compoundTerms(text));
  return spans;
}

/** A Chinese name and the Latin ones in brackets after it. */
export function findGlosses(text: string): { readonly name: string; readonly glosses: readonly string[] }[] {
  return [...text.matchAll(GLOSS)].map(([, name, gloss, short]) => ({
    name: stripClause(name!),
    glosses: short === undefined ? [gloss!.trim()] : [gloss!.trim(), short],
  }));
}

/** Cuts what stands before the name itself: `我们使用支持向量机` → `支持向量机`. */
function stripClause(phrase: string): string {
  segmenter ??= new Intl.Segmenter('zh', { granularity: 'word' });
  const words = [...segmenter.segment(phrase)].map(({ segment }) => segment);
  const stop = words.findLastIndex((word) => MODIFIER_STOP.test(word));
  const kept = words.slice(stop + 1).join('');
  return kept === '' ? phrase : kept;
}

/** Up to three words before a {@link HEAD}: `卷积` + `神经` + `网络`. */
function compoundTerms(text: string): EntitySpan[] {
  segmenter ??= new Intl.Segmenter('zh', { granularity: 'word' });
  const spans: EntitySpan[] = [];
  let run: { start: number; end: number }[] = [];
  for (const { segment, index } of segmenter.segment(text)) {
    const han = /^[\p{Script=Han}]+$/u.test(segment);
    if (
      !han ||
      (MODIFIER_STOP.test(segment) && segment !== '学习') ||
      (segment === '学习' && run.length === 0)
    ) {
      run = [];
      continue;
    }
    run.push({ start: index, end: index + segment.length });
    const isHead =
      HEAD.test(segment) || /(?:网络|算法|模型|函数|定理|大学|公司|回归|分类器|矩阵)$/.test(segment);
    if (!isHead) continue;
    const first = run[Math.max(0, run.length - 4)]!;
    const next = index + segment.length;
    const end = TERM_ENDING.test(text.slice(next)) ? next + 1 : next;
    if (end - first.start < 3) continue;
    const last = spans.at(-1);
    if (last && last.start === first.start) spans.pop();
    spans.push({
      start: first.start,
      end,
      name: text.slice(first.start, end),
      type: 'concept',
      confidence: 0.6,
    });
    if (INSTITUTION.test(segment)) run = [];
  }
  return spans;
}
