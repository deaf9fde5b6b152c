import { stemmer } from 'stemmer';

/** Stands for the person who asks: "I", "my", "我", and in notes about them "the user". */
export const SELF = '@self';
/** Stands for what the person who asks is called, however it is put. */
const OWN_NAME = '@name';
const NAMING = /\bname\b|\bcall(?:ed)? me\b|\bi am called\b|我叫|叫我|名字/iu;

const WORD =
  /[\p{Script=Latin}\p{Script=Cyrillic}\p{Script=Greek}\p{N}]+(?:['’.-][\p{L}\p{N}]+)*|[\u3400-\u9fff]+/gu;
const STOP_WORDS = new Set(
  `a an the this that these those there here it its itself he him his she her hers they them their theirs we us
our ours you your yours who whom whose which what when where why how is are was were be been being am do does
did done doing have has had having will would shall should can could may might must to of in on at by for from
with about into onto over under between among through during before after above below up down out off again
further then once and or but nor so if because as until while than too very just also only own same such no not
some any all both each few more most other another many much s t d ll re ve m don didn doesn isn aren wasn weren
won wouldn couldn shouldn please tell explain describe give say said know let me i my mine myself show list
define name's whether`.split(/\s+/u),
);
/** Words that ask for a kind of answer rather than name its subject; a text may answer without them. */
const GENERIC_WORDS = new Set(
  `mean meaning definition benefit advantage disadvantage purpose reason way example type kind difference role goal
main key important importance use used work happen cause effect result thing concept idea term topic part person
people place time year date day number amount called named relate related relation relationship connect connected
connection link linked different similar involve describe involve make made get got go happened currently now ever
first last country city nationality located want like old long far come help useful usage improve matter point step`
    .split(/\s+/u)
    .map((word) => stemmer(word)),
);
const CHINESE_QUESTION =
  /什么时候|为什么|怎么样|怎样|什么|怎么|如何|哪里|哪儿|哪些|哪个|哪一|哪位|是谁|谁|多少|几个|几次|吗|呢|吧|请问|请|解释|介绍|说明|告诉|一下|有没有|是不是|是否|之间|关于|以及|或者|因为|所以|但是|有关|知道|可以|能够|会(?=出现|发生|产生)|(?<=出现|发生|产生)(?=\p{Script=Han})/gu;
const CHINESE_GENERIC = new Set([
  '意思',
  '定义',
  '作用',
  '区别',
  '关系',
  '原因',
  '例子',
  '方法',
  '联系',
  '用途',
  '名字',
  '出现',
  '发生',
  '产生',
  '学习',
  '需要',
]);
const CHINESE_FUNCTION =
  /用户|[的了是在有和与或也都就还很这那之其为以于对把被让给从到它个着呀啊么我你您他她们]|过(?![拟滤程度渡])/gu;
const CHINESE_SELF = /我们?|用户/u;
const ENGLISH_SELF = /\b(?:i|i'm|i've|i'd|i'll|my|me|mine|myself|the user|user's)\b/iu;
const ENGLISH_OTHER = /\b(?:you|you're|you've|your|yours|yourself)\b/iu;
const CHINESE_OTHER = /你们?|您/u;

/** Irregular forms, and nouns for who does something, by their verb. */
const VERB_OF = new Map(
  `build built builder;write wrote written writer author;found founder established;direct director;invent inventor
create creator;design designer;compose composer;discover discoverer;develop developer;lead led leader;teach taught teacher
win won winner;make made maker;sing sang sung singer;paint painter;produce producer;speak spoke spoken
grow grew grown;begin began begun`
    .split(/[;\n]/u)
    .map((line) => line.trim().split(/\s+/u))
    .flatMap(([verb = '', ...forms]) => forms.map((form) => [form, verb] as const)),
);

/** Content terms of a text: stems of words, and pairs of neighbouring Chinese characters. */
export function contentTerms(text: string): string[] {
  const terms: string[] = [];
  for (const [word] of text.normalize('NFKC').matchAll(WORD)) {
    if (/[\u3400-\u9fff]/u.test(word)) terms.push(...chineseTerms(word));
    else {
      for (const part of nameParts(word)) {
        const term = englishTerm(part);
        if (term) terms.push(term);
      }
    }
  }
  return terms;
}

/** `Augustin-Louis` is two names; `k-means` and `feed-forward` are one word each. */
function nameParts(word: string): string[] {
  return /^\p{Lu}\p{L}{2,}(?:-\p{Lu}\p{L}{2,})+$/u.test(word) ? word.split('-') : [word];
}

function englishTerm(word: string): string | undefined {
  const plain = word.toLowerCase().replace(/['’]s$/u, '');
  if (STOP_WORDS.has(plain)) return undefined;
  return /^\p{Script=Latin}+$/u.test(plain)
    ? stemmer(VERB_OF.get(plain) ?? VERB_OF.get(plain.replace(/s$/u, '')) ?? plain)
    : plain;
}

/** Pairs within what is left between function characters and pronouns; a lone character stands for itself. */
function chineseTerms(run: string): string[] {
  const pieces = run.replace(CHINESE_QUESTION, ' ').replace(CHINESE_FUNCTION, ' ').trim().split(/\s+/u);
  return pieces.flatMap((piece) => {
    const characters = [...piece];
    if (characters.length < 2) return characters;
    return characters.slice(0, -1).map((character, index) => character + characters[index + 1]);
  });
}

/** Terms of a text about the person who asks. */
export function personalTerms(text: string): string[] {
  return NAMING.test(text) ? [SELF, OWN_NAME] : [SELF];
}

/** Whom a text speaks of: its speaker, or the one it is spoken to. */
export function mentionsSpeaker(text: string): boolean {
  return ENGLISH_SELF.test(text) || CHINESE_SELF.test(text);
}

export function mentionsListener(text: string): boolean {
  return ENGLISH_OTHER.test(text) || CHINESE_OTHER.test(text);
}

/**
 * Weight of each content term of a question: names, numbers and quoted words 1.5, words that only ask for
 * a kind of answer 0.25, {@link SELF} 0.5, all others 1.
 */
export function questionTerms(question: string): Map<string, number> {
  const weights = new Map<string, number>();
  for (const term of contentTerms(question)) {
    weights.set(term, GENERIC_WORDS.has(term) || CHINESE_GENERIC.has(term) ? 0.25 : 1);
  }
  for (const term of properTerms(question)) weights.set(term, 1.5);
  if (mentionsSpeaker(question))
    for (const term of personalTerms(question)) weights.set(term, term === SELF ? 0.5 : 1);
  return weights;
}

/** Terms written as names, numbers or quotations. The first word counts only when its capitals go on inside. */
export function properTerms(text: string): Set<string> {
  const proper = new Set<string>();
  const marked =
    /["“'‘《「]([^"”'’》」]{2,60})["”'’》」]|(?<!^)(?<![.!?]\s)\b(\p{Lu}[\p{L}\p{N}'’.-]*)|\b(\p{L}*\p{N}[\p{L}\p{N}.-]*|\p{Lu}{2,}\p{L}*)/gu;
  for (const match of text.trim().matchAll(marked)) {
    for (const term of contentTerms(match[1] ?? match[2] ?? match[3] ?? '')) {
      if (!GENERIC_WORDS.has(term)) proper.add(term);
    }
  }
  return proper;
}
