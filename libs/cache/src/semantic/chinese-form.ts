import {
  CHINESE_A_NOT_A,
  CHINESE_ARTICLE,
  CHINESE_FILLER,
  CHINESE_NEGATION,
  CHINESE_NOT_NEGATING,
  CHINESE_PROGRESSIVE,
  CHINESE_STOP_WORDS,
} from './chinese-words.js';
import { readChineseNumerals } from './numerals.js';
import type { QuestionForm, QuestionKind } from './question-form.js';
import { canonicalOf, type Frame, frame, operatorsIn, signsOf } from './question-text.js';

const CHINESE_FRAMES: readonly Frame[] = [
  frame(
    '(?:如果|要是|假如|倘若)(.+?)(?:那么)?会(?:怎样|怎么样|如何|发生什么(?:事情?)?|有什么后果)',
    'consequence',
  ),
  frame('(?:如何|怎么|怎样)看待?(.+)', 'opinion'),
  frame('(?:你)?(?:觉得|认为)(.+?)(?:怎么样|怎样|如何)', 'opinion'),
  frame('(?:你)?对(?:于)?(.+?)(?:有|是)(?:什么|何)(?:样的)?(?:看法|想法|观点|意见)', 'opinion'),
  frame('(.+?)是(?:一种)?(?:什么|怎样的?)(?:样的)?(?:感觉|体验|感受)', 'experience'),
  frame('(.+?)的?(?:价格|费用|成本|价钱)(?:是|要|需要)?多少(?:钱)?', 'cost'),
  frame('(.+?)(?:要|需要)?(?:花|卖)?多少钱', 'cost'),
  frame('(.+?)要?多少钱(.+)', 'cost'),
  frame('(?:哪个|哪种|哪款|哪家|哪本|什么)(.+?)(?:是)?最好', 'best'),
  frame('最好的(.+?)(?:是|有)(?:什么|哪个|哪些|哪种|哪款|哪家|哪本)', 'best'),
  frame('(?:什么是|何为|什么叫做?|何谓|啥是)(.+)', 'define'),
  frame(
    '(?:解释|介绍|说明|描述|讲解|讲讲|谈谈|说说|阐述|简述|概述|定义)(?:什么是)?(.+?)(?:是什么(?:意思)?|的(?:概念|定义|含义|意思))?',
    'define',
  ),
  frame(
    '(.+?)(?:和|与|跟|同)(.+?)(?:之间)?(?:的|有什么|有何|有哪些)(?:区别|差别|不同|差异)(?:是什么|在哪里|在哪儿|在哪|有哪些)?',
    'compare',
  ),
  frame('(?:比较|对比)(.+?)(?:和|与|跟)(.+)', 'compare'),
  frame('(?:为什么|为何|为啥)(.+)', 'why'),
  frame('(.+?)(?:为什么|为何|为啥)(.*)', 'why'),
  frame('(.*?)的原因(?:是什么|有哪些)?', 'why'),
  frame('(.*?)(?:什么时候|何时|哪一年|哪年|哪一天|哪天|几点|几时)(.*)', 'when'),
  frame('(.*?)(?:哪里|哪儿|何处|什么地方|在哪)(.*)', 'where'),
  frame('(.*?)(?:谁|哪位|什么人)(.*)', 'who'),
  frame('(.*?)(?:多少|几)(.*)', 'how-many'),
  frame('(.*?)(?:多长|多久|多大|多高|多远|多快|多重|多深)(.*)', 'how-degree'),
  frame('(.+?)(?:是)?(?:如何|怎么|怎样)工作(?:的)?', 'how-works'),
  frame('(.+?)的(?:工作)?原理(?:是什么)?', 'how-works'),
  frame('(.+?)(?:有什么用途?|有何用途?|的(?:用途|作用)(?:是什么|有哪些)?)', 'purpose'),
  frame('(?:如何|怎么样?|怎样)(?:才能|去|来)?(.+)', 'how'),
  frame('(.+?)(?:如何|怎么样?|怎样)(?:才能|去|来)?(.*)', 'how'),
  frame('(.+?)(?:的方法)(?:是什么|有哪些)?', 'how'),
  frame('(.*?)(?:哪个|哪些|哪种|哪一个|哪)(.*)', 'which'),
  frame(
    '(.+?)(?:的(?:定义|含义|意思|概念))?(?:是什么(?:意思|东西|呢)?|是指什么|指的是什么|是啥|什么意思)',
    'define',
  ),
  frame('(.+?)的(?:定义|含义|意思|概念)', 'define'),
  frame('(.+?)(?:吗|么)', 'yes-no'),
  frame('((?:.*)(?:是否|能否|可否|会否|A否A)(?:.*))', 'yes-no'),
];

let segmenter: Intl.Segmenter | undefined;

export function chineseForm(normalised: string): QuestionForm {
  const polite = readChineseNumerals(normalised.replaceAll(/["“”'《》「」『』【】()（）]/gu, ' '))
    .replaceAll(CHINESE_FILLER, '')
    .replaceAll(CHINESE_A_NOT_A, 'A否A')
    .replaceAll(CHINESE_ARTICLE, '')
    .replaceAll(CHINESE_PROGRESSIVE, '在')
    .replaceAll(/[,，。.!！?？;；:：、\s]+/gu, ' ')
    .trim();
  const compact = polite.replaceAll(/(?<=\p{Script=Han}) | (?=\p{Script=Han})/gu, '');
  const negations = [...compact.replaceAll(CHINESE_NOT_NEGATING, '').matchAll(CHINESE_NEGATION)].length;
  let kind: QuestionKind = 'other';
  let parts: string[] = [compact];
  for (const { pattern, kind: candidate } of CHINESE_FRAMES) {
    const match = pattern.exec(compact);
    if (!match) continue;
    kind = candidate;
    parts = match.slice(1).filter(Boolean);
    break;
  }
  segmenter ??= new Intl.Segmenter('zh', { granularity: 'word' });
  const segment = segmenter;
  const wordsOf = (text: string) =>
    [...segment.segment(text)]
      .filter(({ isWordLike, segment: word }) => isWordLike && !CHINESE_STOP_WORDS.has(word))
      .map(({ segment: word }) => word);
  const words = parts.flatMap(wordsOf);
  const pointers = parts.join(' ').match(/我|你|您|他|她|它|这|那/gu) ?? [];
  const ordered = kind === 'compare' ? parts.map((part) => wordsOf(part).join('')).sort() : [words.join('')];
  return {
    language: 'zh',
    normalised,
    kind,
    past: false,
    negations,
    // Negating words stand among the words, in order.
    negatedClauses: [],
    negatedAfter: [],
    numbers: parts.flatMap((part) => part.match(/\d+(?:\.\d+)?%?/g) ?? []),
    words,
    subjects: words.filter((word) => !/^\d/.test(word)),
    sequence: words,
    // Chinese does not mark names.
    names: new Set(words),
    vocabulary: new Set(wordsOf(compact)),
    text: compact,
    modal: '',
    pointers,
    signs: signsOf(normalised),
    compounds: new Set(),
    relations: [],
    attributes: [],
    canonical: canonicalOf(
      normalised,
      `${kind} ${pointers.join('')} ${'not '.repeat(negations % 2)}${operatorsIn(normalised)}`,
      ordered,
    ),
  };
}
