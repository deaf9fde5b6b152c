import type { Random } from '@sparkle/contracts';

/** A real text and what a small change made of it; the answer to one does not answer the other. */
export interface SwappedPair {
  readonly first: string;
  readonly second: string;
}

export type Language = 'en' | 'zh';
export type Swap = 'polarity' | 'number' | 'entity' | 'role';

/** What a change makes of a text; `undefined` where it does not apply. */
type Change = (text: string, random: Random) => string | undefined;

/**
 * Up to `count` pairs made from `texts` by one kind of change, each from another text. Word lists are the
 * benchmark's own and owe nothing to those of the product.
 */
export function swappedPairs(
  texts: readonly string[],
  language: Language,
  swap: Swap,
  count: number,
  random: Random,
): SwappedPair[] {
  const changes = CHANGES[language][swap];
  const pairs: SwappedPair[] = [];
  for (const first of shuffled([...new Set(texts)], random)) {
    if (pairs.length === count) break;
    if (first.length > 200) continue;
    const made = shuffled(changes, random)
      .map((change) => change(first, random))
      .find((second) => second !== undefined && second !== first);
    if (made !== undefined) pairs.push({ first, second: made });
  }
  return pairs;
}

export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const result = [...items];
  for (let index = result.length - 1; index > 0; index -= 1) {
    const other = Math.floor(random.next() * (index + 1));
    [result[index], result[other]] = [result[other]!, result[index]!];
  }
  return result;
}

const pick = <T>(items: readonly T[], random: Random): T => items[Math.floor(random.next() * items.length)]!;

/** Replaces the first match; nothing when there is none. */
function replacing(pattern: RegExp, by: string | ((whole: string, ...groups: string[]) => string)): Change {
  return (text) => {
    if (!pattern.test(text)) return undefined;
    return text.replace(pattern, by as string);
  };
}

/** Turns each word of a pair into the other one, whichever the text has. */
function exchanging(pairs: string, bounded: boolean): Change {
  const opposite = new Map<string, string>();
  for (const pair of pairs.trim().split(/\s+/)) {
    const [left = '', right = ''] = pair.split('/');
    opposite.set(left, right);
    opposite.set(right, left);
  }
  const words = [...opposite.keys()].sort((left, right) => right.length - left.length).join('|');
  const pattern = new RegExp(bounded ? `\\b(?:${words})\\b` : words, 'u');
  return replacing(pattern, (word) => opposite.get(word)!);
}

const insertNot = [
  replacing(
    /^(Why|How|When|Where|Who|Which \w+|What) (is|are|was|were|does|do|did|should|would|could|has|have) /,
    "$1 $2n't ",
  ),
  replacing(/^(How (?:do|can|should|could) (?:I|you|we|one|people)) /, '$1 not '),
  replacing(/^(What (?:should|would|could|do|does) (?:I|you|we|one|people)) /, '$1 not '),
  replacing(/^((?:Should|Can|Could|Would|Does|Do|Did) (?:I|you|we|one|people|it|they|he|she)) /, '$1 not '),
  replacing(/\b(who|which|that) (is|are|can|does|do|should|was|were) /, '$1 $2 not '),
];
const dropNot = [
  replacing(/\b(is|are|was|were|do|does|did|has|have|should|would|could)n['’]t\b/, '$1'),
  replacing(/\b(is|are|do|does|did|can|should|to) not /, '$1 '),
];
const otherNumber: Change = (text, random) =>
  replacing(/\d+(?:[.,]\d+)*/, (digits) => {
    const value = Number(digits.replaceAll(',', ''));
    const isYear = value >= 1900 && value <= 2100;
    const other = isYear
      ? value + pick([-10, -2, -1, 1, 2, 5], random)
      : value + pick([1, 2, 5, 10, 100], random);
    return String(Math.max(0, other));
  })(text, random);
const UNITS =
  'kilometers/miles km/miles kg/pounds kgs/pounds dollars/euros rupees/dollars days/weeks months/years hours/minutes inches/centimeters feet/meters GB/MB lakh/crore lakhs/crores million/billion thousand/million percent/times weeks/months';
const unit: Change = (text, random) =>
  /\d/.test(text) || /\b(?:two|three|four|five|six|ten|one)\b/.test(text)
    ? exchanging(UNITS, true)(text, random)
    : undefined;
const NUMBER_WORDS =
  'two/three four/five six/seven eight/nine ten/twelve second/third fourth/fifth twice/thrice';

const NAME = /(?<=[\p{Ll},] )\p{Lu}\p{Ll}{2,}(?: \p{Lu}\p{Ll}+)*/u;
const NAMES =
  'Norway;Vietnam;Toronto;Madrid;Einstein;Shakespeare;Netflix;Toyota;Python;Spotify;Portugal;Nairobi;Marie Curie;Samsung;Harvard;Bolivia;Photoshop;Buddhism;Saturn;Mozart'.split(
    ';',
  );
/** Names that stand on the two sides of something that is not the same seen from the other side. */
const NAMES_IN_ROLES =
  /(?<=[\p{Ll},] )(\p{Lu}[\p{L}\d]+(?: \p{Lu}[\p{L}\d]+)*)((?: (?!(?:and|or|vs|versus|with|between|is|are|what|how|why|do|does)\b)\p{Ll}+){0,5} (?:to|from|than|into|on|in|of|by|against|over|for|at)(?: the)?) (\p{Lu}[\p{L}\d]+(?: \p{Lu}[\p{L}\d]+)*)/u;
const swapNames = replacing(
  NAMES_IN_ROLES,
  (_whole, left = '', between = '', right = '') => `${right}${between} ${left}`,
);
/** Not a noun, so that nothing sensible comes of changing places with it. */
const NO_NOUN = '(?!(?:me|it|them|us|you|him|her|others?|this|that|what|where|or|are|is|do|being|one)\\b)';
/** "my father to my brother", "water into oil": the two sides of a preposition, without names. */
const swapPhrases = replacing(
  new RegExp(
    `\\b(from) ${NO_NOUN}((?:an? |the |my )?\\p{L}+) (to|into) ${NO_NOUN}((?:an? |the |my )?\\p{L}+)(?=[?.,]| (?:in|on|by|for|with)\\b)`,
    'u',
  ),
  (_whole, from = '', left = '', to = '', right = '') => `${from} ${right} ${to} ${left}`,
);
const swapCompared = replacing(
  new RegExp(
    `\\b${NO_NOUN}(\\p{L}+) (\\p{L}+er|more \\p{L}+|less \\p{L}+|better|worse) than ${NO_NOUN}((?:an? |the )?\\p{L}+)(?=[?.,]| (?:in|on|at|for)\\b)`,
    'u',
  ),
  (_whole, left = '', comparative = '', right = '') => `${right} ${comparative} than ${left}`,
);

const MEASURES = '[个只条名位头匹辆架把张座群块本天年月岁次小时分人]';
const CHANGES: Readonly<Record<Language, Readonly<Record<Swap, readonly Change[]>>>> = {
  en: {
    polarity: [
      ...insertNot,
      ...dropNot,
      exchanging(
        'with/without good/bad best/worst safe/dangerous increase/decrease gain/lose buy/sell start/stop love/hate advantages/disadvantages benefits/drawbacks legal/illegal possible/impossible like/dislike always/never cheap/expensive easy/hard before/after more/less most/least healthy/unhealthy happy/unhappy',
        true,
      ),
    ],
    number: [otherNumber, unit, exchanging(NUMBER_WORDS, true)],
    entity: [(text, random) => replacing(NAME, () => pick(NAMES, random))(text, random)],
    role: [swapNames, swapPhrases, swapCompared],
  },
  zh: {
    polarity: [
      replacing(/正在|(?<=[人孩狗猫子生员士])在/u, '没有在'),
      replacing(/(?<![不没])(?:会|能|可以|应该|喜欢|需要|知道|想)/u, (word) => `不${word}`),
      replacing(/(?<![不但可总要只就还于])是(?!否|不是)/u, '不是'),
      replacing(/(?<![没所只])有(?!没有|些|关|时|限|效)/u, '没有'),
      replacing(/不(?=会|能|可以|应该|喜欢|需要|知道|想|是)/u, ''),
      replacing(/没有(?=在)/u, ''),
      exchanging(
        '增加/减少 上升/下降 上涨/下跌 支持/反对 成功/失败 打开/关闭 接受/拒绝 赞成/反对 开始/结束 进入/离开 里面/外面 之前/之后 允许/禁止 买入/卖出 好/坏',
        false,
      ),
    ],
    number: [
      replacing(/\d+/u, (digits) => String(Number(digits) + 3)),
      replacing(new RegExp(`两(?=${MEASURES})`, 'u'), '五'),
      replacing(new RegExp(`[三四五六七八九十](?=${MEASURES})`, 'u'), '两'),
      replacing(/一(?=[个只条名位头匹辆架群])/u, '三'),
      exchanging('公里/英里 公斤/磅 美元/欧元 小时/分钟 星期/月 百万/亿 年/天', false),
    ],
    entity: [
      exchanging(
        '男人/女人 男孩/女孩 男子/女子 先生/女士 儿子/女儿 父亲/母亲 狗/猫 马/羊 吉他/钢琴 小提琴/长笛 黑色/白色 红色/蓝色 黄色/绿色 土豆/洋葱 苹果/香蕉 牛肉/鸡肉 自行车/汽车 火车/飞机 足球/篮球 沙发/桌子',
        false,
      ),
      exchanging(
        '中国/法国 美国/德国 英国/日本 俄罗斯/巴西 叙利亚/埃及 以色列/土耳其 印度/加拿大 伊朗/墨西哥 阿富汗/肯尼亚 巴基斯坦/挪威 奥巴马/普京 北京/伦敦 朝鲜/泰国 韩国/希腊 乌克兰/意大利 伊拉克/西班牙 巴勒斯坦/越南',
        false,
      ),
    ],
    role: [
      replacing(
        /(男人|女人|男孩|女孩|狗|猫|马|孩子|男子|女子|人|鸟|熊)([^，。]{1,8}?)(男人|女人|男孩|女孩|狗|猫|马|孩子|男子|女子|鸟|熊)/u,
        (whole, left = '', between = '', right = '') =>
          left === right || /[和与跟]/u.test(between) ? whole : right + between + left,
      ),
      replacing(
        /(美国|中国|英国|俄罗斯|叙利亚|以色列|伊朗|印度|日本|法国|德国|朝鲜|韩国|乌克兰|埃及|土耳其|巴基斯坦|阿富汗|伊拉克|欧盟|联合国|巴勒斯坦)([^，。]{1,10}?)(美国|中国|英国|俄罗斯|叙利亚|以色列|伊朗|印度|日本|法国|德国|朝鲜|韩国|乌克兰|埃及|土耳其|巴基斯坦|阿富汗|伊拉克|欧盟|联合国|巴勒斯坦)/u,
        (whole, left = '', between = '', right = '') =>
          left === right || /[和与跟、]/u.test(between) ? whole : right + between + left,
      ),
    ],
  },
};
