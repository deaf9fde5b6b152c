/** A relation read off a sentence by a fixed pattern; without `source` it is about the document's subject. */
export interface PatternRelation {
  readonly source?: string;
  readonly target: string;
  readonly type: string;
  readonly confidence: number;
}

const ARTICLE = '(?:an?|the|one of the)';
/** A noun phrase of at most five words; the tail is trimmed by {@link nounPhrase}. */
const PHRASE = "([\\p{L}\\p{N}][\\p{L}\\p{N}'’\\-]*(?: [\\p{L}\\p{N}][\\p{L}\\p{N}'’\\-]*){0,5})";
const LIST =
  "([\\p{L}\\p{N}][\\p{L}\\p{N}'’\\- ]{1,60}(?:, (?:and |or )?[\\p{L}\\p{N}][\\p{L}\\p{N}'’\\- ]{1,40}){0,6})(?![\\p{L}\\p{N}])";

const IS_A = new RegExp(`^${PHRASE}(?: ?\\([^()]{0,80}\\))?,? (?:is|are|was|were) ${ARTICLE} ${PHRASE}`, 'u');
const SUCH_AS = new RegExp(`${PHRASE},? (?:such as|including|like) ${LIST}`, 'gu');
const ALSO_KNOWN = new RegExp(
  `^${PHRASE}(?: ?\\([^()]{0,80}\\))?,? (?:is |are |was )?(?:also |better |commonly )?(?:known|called|referred to) (?:simply )?as ${PHRASE}`,
  'u',
);
const ALSO_CALLED = new RegExp(
  `^${PHRASE}(?:, | \\()(?:also|commonly|sometimes|often) (?:known as|called|termed|named|referred to as) (?:the )?${PHRASE}`,
  'u',
);
const MEANS = new RegExp(`^${PHRASE} (?:refers? to|is defined as|are defined as) ${ARTICLE} ${PHRASE}`, 'u');
/** Up to the first plural: what follows it is the sentence's verb. */
const AND_OTHER = new RegExp(
  `^${LIST},? (?:and|or) other ((?:[\\p{L}\\-]+ ){0,3}?[\\p{L}\\-]{2,}s)(?![\\p{L}\\-])`,
  'u',
);
const REQUIRES = new RegExp(
  `^${PHRASE}(?: ?\\([^()]{0,80}\\))? (?:requires?|depends? on|builds? (?:up)?on|presupposes?|assumes?)(?: an?| the)?(?: (?:good |basic |solid )?(?:knowledge|understanding|grasp) of)? ${LIST}`,
  'u',
);
const BEFORE = new RegExp(
  `^Before (?:learning|studying|reading about|tackling)(?: an?| the)? ${PHRASE}, .{0,40}?(?:learn|study|understand|know|master|review)(?: an?| the)? ${LIST}`,
  'u',
);
const PREREQUISITE = new RegExp(
  `^${PHRASE} (?:is|are) (?:an? |the )?(?:prerequisites?|required|needed|necessary) (?:for|of|to (?:learn|understand)) ${LIST}`,
  'u',
);
const PREREQUISITES_ARE = new RegExp(
  `^(?:The )?[Pp]rerequisites?(?: (?:for|of) ${PHRASE})?(?::| are| is| include)? ${LIST}`,
  'u',
);

const ZH = '([\\p{Script=Han}A-Za-z0-9+#\\-]{2,20}?)';
const ZH_END = '(?=[，。；、！？,.;]|$)';
const ZH_IS_A = new RegExp(
  `^${ZH}(?:[（(][^）)]{1,40}[）)])?(?:，)?是(?:一种|一类|一个|一门|一项)(?:[\\p{Script=Han}]{0,12}的)?${ZH}${ZH_END}`,
  'u',
);
const ZH_ALIAS = new RegExp(
  `^${ZH}(?:，)?(?:又称|又叫|也叫|也称为?|亦称|简称|俗称)(?:为)?${ZH}${ZH_END}`,
  'u',
);
const ZH_REQUIRES = new RegExp(
  `(?:学习|理解|掌握)?${ZH}(?:之前|前)?，?(?:需要|应该|应当|必须|应|需)(?:首先|先)?(?:学习|掌握|了解|理解|学会|学)${ZH}${ZH_END}`,
  'u',
);
const ZH_PREREQUISITE = new RegExp(
  `${ZH}是(?:学习|理解|掌握)?${ZH}的(?:基础|前提|先修课程|先修知识|前置知识)`,
  'u',
);
const ZH_LIST_END = '(?:等|(?=[，。；！？,.;]|$))';
/** Names joined by 、 and 和. */
const ZH_LIST = '([\\p{Script=Han}A-Za-z0-9+#\\-、]{2,60}?)';
const ZH_PART = new RegExp(
  `^${ZH}(?:由${ZH_LIST}(?:组成|构成)|(?:包括|包含)(?:了)?${ZH_LIST}${ZH_LIST_END})`,
  'u',
);
const ZH_SUCH_AS = new RegExp(`${ZH}，?(?:例如|比如|譬如|诸如)${ZH_LIST}${ZH_LIST_END}`, 'u');
const ZH_ARE = new RegExp(`^${ZH_LIST}(?:都|均|皆)(?:是|属于)(?:一种|一类)?${ZH}${ZH_END}`, 'u');
const ZH_MEANS = new RegExp(`^(?:所谓)?${ZH}，?(?:是指|指的是|的定义是|定义为)${ZH}${ZH_END}`, 'u');
const ZH_OF = new RegExp(
  `^${ZH}是${ZH}的(?:一个|一种|一项)?(首都|省会|分支|子集|组成部分|一部分|子领域|特例)`,
  'u',
);
const ZH_OF_TYPES: Readonly<Record<string, string>> = {
  首都: 'capital_of',
  省会: 'capital_of',
  特例: 'is_a',
};
/** Who did it, and what it was: `A提出了B`, `B由A提出`. */
const ZH_DEEDS: Readonly<Record<string, string>> = {
  提出: 'proposed',
  发明: 'invented',
  发现: 'discovered',
  证明: 'proved',
  创立: 'founded',
  创办: 'founded',
  创建: 'founded',
  建立: 'founded',
  开发: 'developed',
};
const ZH_DEED = Object.keys(ZH_DEEDS).join('|');
const ZH_DID = new RegExp(`^${ZH}(?:在|于)?(?:\\d{4}年)?(?:首次|最早)?(${ZH_DEED})了${ZH}${ZH_END}`, 'u');
const ZH_DONE_BY = new RegExp(
  `^${ZH}(?:是)?由${ZH}(?:在|于)?(?:\\d{4}年)?(?:首次|最早)?(${ZH_DEED})(?:的)?${ZH_END}`,
  'u',
);
const ZH_PLACED = new RegExp(`^${ZH}(?:的)?(?:总部)?(?:位于|坐落于|坐落在)${ZH}${ZH_END}`, 'u');
const ZH_SEAT = new RegExp(`，(?:其)?总部(?:位于|设在|在)${ZH}${ZH_END}`, 'u');
const ZH_SINCE = /^([\p{Script=Han}A-Za-z0-9+#-]{2,20}?)(?:成立|创立|建立|创建)于(\d{4})年/u;

const ZH_PERSON = '([\\p{Script=Han}·]{2,12}?)';
const ZH_WORK = '[《「]([^《》「」\\n]{1,40})[》」]';
const ZH_WRITTEN_BY = new RegExp(
  `^${ZH_WORK}(?:是|由)(?:[\\p{Script=Han}]{0,6}的)?${ZH_PERSON}(?:所)?(?:写|创作|撰写|著|所著|编写)`,
  'u',
);
const ZH_WROTE = new RegExp(`^${ZH_PERSON}(?:写了|写过|创作了|撰写了|著有|写下了?)${ZH_WORK}`, 'u');
const ZH_BORN = new RegExp(
  `^${ZH_PERSON}(?:[（(][^）)]{1,40}[）)])?(?:是[\\p{Script=Han}]{2,16})?[，,]?(?:于)?(?:\\d{4}年)?(?:\\d{1,2}月)?(?:\\d{1,2}日)?(?:出生于|生于|出生在)${ZH}${ZH_END}`,
  'u',
);

/** Definitions, hypernyms, aliases, prerequisites, authors and birthplaces in one sentence, English and Chinese. */
export function findPatternRelations(sentence: string): PatternRelation[] {
  const bounded = sentence.length > 1000 ? sentence.slice(0, 1000) : sentence;
  return /\p{Script=Han}/u.test(bounded) ? chineseRelations(bounded) : englishRelations(bounded);
}

function englishRelations(sentence: string): PatternRelation[] {
  const found: PatternRelation[] = [];
  const push = (source: string | undefined, target: string, type: string, confidence: number) => {
    const object = nounPhrase(target);
    const subject = source === undefined ? undefined : subjectPhrase(source);
    if (object === undefined || subject === null) return;
    found.push({ source: subject, target: object, type, confidence });
  };
  const alias = ALSO_KNOWN.exec(sentence);
  if (alias) push(alias[1], alias[2]!, 'also_known_as', 0.8);
  const called = ALSO_CALLED.exec(sentence);
  if (called) push(called[1], called[2]!, 'also_known_as', 0.8);
  const means = MEANS.exec(sentence);
  if (means) push(means[1], means[2]!, 'is_a', 0.6);
  const other = sentence.includes(' other ') ? AND_OTHER.exec(sentence) : null;
  if (other) for (const item of listItems(other[1]!)) push(item, other[2]!, 'is_a', 0.6);
  const requires = REQUIRES.exec(sentence);
  if (requires) for (const item of listItems(requires[2]!)) pushPrerequisite(found, item, requires[1]!);
  const before = BEFORE.exec(sentence);
  if (before) for (const item of listItems(before[2]!)) pushPrerequisite(found, item, before[1]!);
  const prerequisite = PREREQUISITE.exec(sentence);
  if (prerequisite)
    for (const item of listItems(prerequisite[2]!)) pushPrerequisite(found, prerequisite[1]!, item);
  const stated = PREREQUISITES_ARE.exec(sentence);
  if (stated?.[1]) for (const item of listItems(stated[2]!)) pushPrerequisite(found, item, stated[1]);
  if (!prerequisite) {
    const isA = IS_A.exec(sentence);
    if (isA) push(isA[1], isA[2]!, 'is_a', 0.7);
  }
  for (const match of sentence.matchAll(SUCH_AS)) {
    const general = lastNouns(match[1]!);
    if (general === undefined) continue;
    for (const item of listItems(match[2]!)) {
      const special = nounPhrase(item);
      if (special !== undefined)
        found.push({ source: special, target: general, type: 'is_a', confidence: 0.6 });
    }
  }
  return found;
}

function pushPrerequisite(found: PatternRelation[], first: string, then: string): void {
  const source = nounPhrase(first);
  const target = subjectPhrase(then);
  if (source === undefined || target === null || target === undefined) return;
  found.push({ source, target, type: 'prerequisite_of', confidence: 0.85 });
}

function chineseRelations(sentence: string): PatternRelation[] {
  const found: PatternRelation[] = [];
  const alias = ZH_ALIAS.exec(sentence);
  if (alias) found.push({ source: alias[1], target: alias[2]!, type: 'also_known_as', confidence: 0.8 });
  const isA = ZH_IS_A.exec(sentence);
  if (isA) found.push({ source: isA[1], target: isA[2]!, type: 'is_a', confidence: 0.7 });
  const base = ZH_PREREQUISITE.exec(sentence);
  if (base) found.push({ source: base[1], target: base[2]!, type: 'prerequisite_of', confidence: 0.85 });
  const requires = ZH_REQUIRES.exec(sentence);
  if (requires && !base) {
    found.push({
      source: requires[2]!,
      target: stripLeadingVerb(requires[1]!),
      type: 'prerequisite_of',
      confidence: 0.85,
    });
  }
  const part = ZH_PART.exec(sentence);
  if (part)
    for (const item of chineseItems((part[2] ?? part[3])!))
      found.push({ source: item, target: part[1]!, type: 'part_of', confidence: 0.6 });
  const such = ZH_SUCH_AS.exec(sentence);
  if (such)
    for (const item of chineseItems(such[2]!))
      found.push({ source: item, target: such[1]!, type: 'is_a', confidence: 0.6 });
  const are = ZH_ARE.exec(sentence);
  if (are)
    for (const item of chineseItems(are[1]!))
      found.push({ source: item, target: are[2]!, type: 'is_a', confidence: 0.7 });
  const means = ZH_MEANS.exec(sentence);
  if (means && !/[了着被把]/.test(means[2]!))
    found.push({ source: means[1], target: means[2]!, type: 'is_a', confidence: 0.5 });
  const of = ZH_OF.exec(sentence);
  if (of) {
    const type = ZH_OF_TYPES[of[3]!] ?? 'part_of';
    found.push({ source: of[1], target: of[2]!, type, confidence: 0.7 });
  }
  const did = ZH_DID.exec(sentence);
  if (did) found.push({ source: did[1], target: did[3]!, type: ZH_DEEDS[did[2]!]!, confidence: 0.7 });
  const done = ZH_DONE_BY.exec(sentence);
  if (done) found.push({ source: done[2], target: done[1]!, type: ZH_DEEDS[done[3]!]!, confidence: 0.7 });
  const placed = ZH_PLACED.exec(sentence);
  if (placed) found.push({ source: placed[1], target: placed[2]!, type: 'located_in', confidence: 0.7 });
  const since = ZH_SINCE.exec(sentence);
  if (since) {
    found.push({ source: since[1], target: since[2]!, type: 'founded_in', confidence: 0.8 });
    const seat = ZH_SEAT.exec(sentence);
    if (seat) found.push({ source: since[1], target: seat[1]!, type: 'located_in', confidence: 0.7 });
  }
  const written = ZH_WRITTEN_BY.exec(sentence);
  if (written) found.push({ source: written[2], target: written[1]!, type: 'wrote', confidence: 0.8 });
  const wrote = ZH_WROTE.exec(sentence);
  if (wrote) found.push({ source: wrote[1], target: wrote[2]!, type: 'wrote', confidence: 0.8 });
  const born = ZH_BORN.exec(sentence);
  if (born) found.push({ source: born[1], target: born[2]!, type: 'born_in', confidence: 0.8 });
  return found.filter(
    (relation) => !/^(?:这|那|它|他|她|其|该|此|如果|因为|所以)/.test(relation.source ?? ''),
  );
}

/** The names of a list; one too long or beginning with a small word is a clause, not a name. */
function chineseItems(list: string): string[] {
  return list
    .split(/、|以及|[和与及]/u)
    .map((item) => item.replace(/等$/, ''))
    .filter((item) => item.length >= 2 && item.length <= 16 && !/^[的是在了有对从而但也都]/u.test(item))
    .slice(0, 8);
}

function stripLeadingVerb(phrase: string): string {
  return phrase.replace(/^(?:在|想要|若要|要)?(?:学习|理解|掌握)/, '');
}

/** Words at which a noun phrase ends. */
const PHRASE_END =
  /^(?:that|which|who|whom|whose|where|when|of|in|on|for|by|from|to|with|at|as|into|between|about|is|are|was|were|has|have|had|and|or|but|used|developed|created|written|directed|produced|released|founded|based|located|born|made|known|called|published|set|given|designed|composed|consisting|under|near|during|through|after|before|also|use|uses|require|requires|provide|provides|include|includes|allow|allows|help|helps|make|makes|work|works|it|they|can|will|may|not|first)$/;

function nounPhrase(raw: string): string | undefined {
  const words = raw
    .trim()
    .replace(/^(?:an?|the|some|one of the) /i, '')
    .split(/\s+/);
  const end = words.findIndex((word) => PHRASE_END.test(word));
  const kept = words.slice(0, end < 0 ? words.length : end).slice(0, 5);
  const phrase = kept.join(' ');
  return phrase.length < 3 || /^\d+$/.test(phrase) ? undefined : phrase;
}

/** Undefined for a pronoun (the document's subject is meant), null for what cannot be a subject. */
function subjectPhrase(raw: string): string | undefined | null {
  const phrase = raw.trim().replace(/^(?:an?|the) /i, '');
  if (/^(?:it|he|she|they|this)$/i.test(phrase)) return undefined;
  if (
    /^(?:there|these|those|what|which|who|that|if|when|in|on|at|as|for|since|after|before|his|her|its|their|this|one|some|many|most)\b/i.test(
      phrase,
    )
  ) {
    return null;
  }
  return phrase.split(/\s+/).length > 5 || phrase.length < 2 ? null : phrase;
}

/** The noun at the end of `many supervised models` with one word before it, unless that is a small word. */
function lastNouns(raw: string): string | undefined {
  const words = raw.trim().split(/\s+/);
  const small = words.findLastIndex(
    (word) =>
      PHRASE_END.test(word) || /^(?:an?|the|many|some|other|various|several|most|all|use|uses)$/i.test(word),
  );
  const kept = words.slice(Math.max(small + 1, words.length - 3));
  return kept.length === 0 ? undefined : kept.join(' ');
}

/** Where a list ends and a clause about it begins. */
const CLAUSE = /,? \b(?:because|since|as|which|whose|where|when|while|so|if|in order|although|unless)\b.*$/iu;

function listItems(raw: string): string[] {
  // What follows the item after `and` goes on with the sentence: `such as A, B and C, converge`.
  const list = raw.replace(CLAUSE, '').replace(/(?<=(?: and | or )[^,]{1,60}),.*$/u, '');
  return list
    .split(/, (?:and |or )?| and | or /)
    .map((item) => item.trim())
    .filter((item) => item !== '')
    .slice(0, 8);
}
