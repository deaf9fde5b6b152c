import {
  ENGLISH_ATTRIBUTIVE,
  ENGLISH_CLAUSE_WORDS,
  ENGLISH_COMMON_WORDS,
  ENGLISH_IRREGULAR_PLURALS,
  ENGLISH_MODALS,
  ENGLISH_NEGATIONS,
  ENGLISH_PHRASES,
  ENGLISH_POINTERS,
  ENGLISH_RELATIONS,
  ENGLISH_STOP_WORDS,
  ENGLISH_SYNONYMS,
} from './english-words.js';
import { readEnglishNumber, romanNumber } from './numerals.js';
import type { Attribute, QuestionForm, QuestionKind } from './question-form.js';
import { canonicalOf, type Frame, frame, normalise, operatorsIn, signsOf } from './question-text.js';

/** What a frame found out: the kind of question, what it is about, and on whose behalf it is asked. */
interface Framed {
  readonly kind: QuestionKind;
  readonly content: string;
  /** Empty when the question names nobody ("how to …"); `undefined` when who asks may matter. */
  readonly actor?: string | undefined;
}

const COURTESIES = [
  /^(?:hi|hello|hey|dear \w+|good (?:morning|afternoon|evening))[,!. ]+/,
  /^(?:so|well|ok|okay|now|and|but|basically|actually|sorry|excuse me)[, ]+/,
  /^(?:please|kindly|pls)[, ]+/,
  /^(?:can|could|would|will) (?:you|someone|anyone|somebody|anybody|u)(?: please| kindly| help me)?[, ]+(?=(?:please )?(?:tell|explain|describe|define|give|say|help|show|list|summari[sz]e|clarify|elaborate))/,
  /^(?:i|we) (?:want|would like|'d like|need|wish) to (?:know|learn|understand|ask)(?: about)?[, ]+/,
  /^(?:i am|i'm|i was) (?:wondering|curious)(?: about)?[, ]+/,
  /^(?:do you|does anyone|does anybody) know[, ]+/,
  /^(?:tell|show|help) (?:me|us)(?: to)?[, ]+(?=(?:what|why|how|when|where|who|whether|understand)\b)/,
  /^(?:explain|describe|clarify|say)(?: to)?(?: me| us)?[, ]+(?=(?:why|how|when|where|who)\b)/,
  /^(?:understand|know)[, ]+(?=(?:what|why|how|when|where|who)\b)/,
];
const CLOSINGS = /[, ]+(?:please|pls|thanks|thank you|thx|to me|for me|in general|exactly|anyway)$/;
/** Asks to explain the answer, which is no other answer. */
const AND_WHY =
  /[?.,]*(?: (?:and|&|if so|if yes|or why not|why or why not|please explain))*,? why(?: or why not| not)?[?.! ]*$/;

const ARTICLE = '(?:(?:a|an|the) )?';
const ANYBODY = '(?:i|you|we|one|someone|somebody|anyone|anybody|people|a person|u)';
/** Where it stands in a frame, it is the first group. */
const ACTOR = ANYBODY.replace('?:', '?<actor>');
const WAYS = '(?:ways?|methods?|steps?|process|procedure|tips|tricks|techniques?)';
/** Ask for what works, as "how" does. "Easiest", "fastest" and the like ask for less. */
const WORKING =
  '(?:(?:very |most |all the )?(?:best|good|great|effective|proper|right|correct|possible|ideal|different) )*';
const FEW = '(?:(?:some|a few|few|any|all|a list)(?: of)? )?';
const BE = '(?:is|are|would be|will be|can be|could be|should be|may be|might be)';
/** First match wins. */
const ENGLISH_FRAMES: readonly Frame[] = [
  frame(
    `(?:what|which) (?:is|are|was|were) ${ARTICLE}(?:main |key |major |basic )?differences? (?:between|of) (.+)`,
    'compare',
  ),
  frame('(?:compare|contrast|distinguish|differentiate)(?: between)? (.+)', 'compare'),
  frame('how (?:do|does|is|are|did) (.+?) (?:differ|different)(?: from (.+))?', 'compare'),
  frame(`(?:explain|describe|tell (?:me|us)) ${ARTICLE}differences? between (.+)`, 'compare'),
  frame(`(?:the )?(?:main |key |major |basic )?differences? between (.+)`, 'compare'),
  frame(
    'what (?:is|are) your (?:personal )?(?:opinion|opinions|view|views|thought|thoughts|take|stand) (?:on|about|of|regarding) (.+)',
    'opinion',
  ),
  frame('what do you (?:think|feel|make) (?:about|of|on|regarding) (.+)', 'opinion'),
  frame('how do you feel about (.+)', 'opinion'),
  frame('what (?:is|are) it (?:feel )?like (?:to|for) (.+)', 'experience'),
  frame('what (?:is|does) (?:it|the) (?:feel|feeling|experience)(?: like)? (?:to|of|for) (.+)', 'experience'),
  frame('how (?:does|is) it (?:feel )?(?:like )?to (.+)', 'experience'),
  frame(
    'what (?:happens|will happen|would happen|can happen|could happen|might happen) (?:if|when) (.+)',
    'consequence',
  ),
  frame('what (?:if|would be the result if|will be the result if) (.+)', 'consequence'),
  frame(
    `(?:what|how much) (?:is|are) ${ARTICLE}(?:total |average |approximate )?(?:cost|price)s? (?:of|for|to) (.+)`,
    'cost',
  ),
  frame('how much (?:does|do|would|will|should) (.+?) cost(?: (.+))?', 'cost'),
  frame('how much (?:does|do|would|will|should) it cost to (.+)', 'cost'),
  frame('(?:explain|describe|tell me|define|say)? ?(?:how) (?:do|does) (.+) works?', 'how-works'),
  frame('how (.+) works', 'how-works'),
  frame('what (?:is|are) (.+?) (?:used for|good for|needed for|for)', 'purpose'),
  frame('what (?:is|are) the (?:uses?|purposes?|point|applications?|function) of (.+)', 'purpose'),
  frame('what (?:do|does) (.+?) do', 'purpose'),
  frame('why (?:do|does|should|would) (?:i|you|we|one|people|they|someone) use (.+)', 'purpose'),
  frame('how (long) (?:does|do|will|would|can|should) (it take.*)', 'how-degree'),
  frame('how much time (?:does|do|will|would|can|should) (it take.*)', 'how-degree', 'long'),
  frame('how (?:many|much) (.+)', 'how-many'),
  frame('what (?:is|are) the (?:number|amount|quantity) of (.+)', 'how-many'),
  frame(
    'how (long|old|far|often|big|large|tall|high|deep|fast|heavy|hard|difficult|easy|likely|good|bad|safe|important|strong|hot|cold|soon|early|late|close|accurate|true|expensive|cheap|common|rare|dangerous|effective) (.+)',
    'how-degree',
  ),
  frame('how to (.+)', 'how'),
  frame(
    `how (?:do|does|can|could|should|would|may|might|shall|must|will) ${ACTOR} (?:go about )?(.+)`,
    'how',
  ),
  frame(
    `(?:what|which) ${BE} ${FEW}(?:the |some |a |your )?${WORKING}${WAYS} (?:to|for|of|by which ${ANYBODY} can|${ANYBODY} can) (.+)`,
    'how',
  ),
  frame(
    `what (?:can|could|should|must|would|do|shall) ${ACTOR} (?:have to |need to )?do (?:in order )?to (.+)`,
    'how',
  ),
  frame('how (.+)', 'how'),
  frame('why (.+)', 'why'),
  frame(
    'what (?:is|are|was|were) the (?:main |real |actual |possible |major )?(?:reasons?|causes?) (?:why|for|of|behind|that) (.+)',
    'why',
  ),
  frame('(?:when) (.+)', 'when'),
  frame('(?:in )?(?:what|which) (?:year|date|day|month|time|century) (.+)', 'when'),
  frame('(?:where) (.+)', 'where'),
  frame('(?:in |at )?(?:what|which) (?:place|location|country|city) (.+)', 'where'),
  frame('(?:who|whom|whose) (.+)', 'who'),
  frame(`(?:what|which) ${BE} ${FEW}(?:of the |the )?(?:very )?(?:best|greatest) (.+)`, 'best'),
  // "Good cholesterol" is a thing; "good books" are recommended.
  frame(`(?:what|which) are ${FEW}(?:of the |the )?(?:very )?(?:good|top|great) (.+)`, 'best'),
  frame(`(?:what|which) ((?!(?:is|are)\\b)[^?]+?) ${BE} (?:the )?best(?: (.+))?`, 'best'),
  frame(`which (?:one )?(?:is|are|was|were) ${ARTICLE}(.+)`, 'define'),
  frame('(?:which) (.+)', 'which'),
  frame(`what (?:does|do|did) ${ARTICLE}(.+?) (?:mean|stand for|refer to)(?: by)?`, 'define'),
  frame(`what (?:is|are|was|were) meant by ${ARTICLE}(.+)`, 'define'),
  frame(
    `(?:what (?:is|are|was|were) )?(?:the |a )?(?:meaning|definition|explanation|concept|description) of ${ARTICLE}(.+)`,
    'define',
  ),
  frame(
    `(?:give|provide|write)(?: me| us)? (?:the |a |an )?(?:brief |short |simple )?(?:meaning|definition|explanation|description|overview|introduction) (?:of|to|for|about) ${ARTICLE}(.+)`,
    'define',
  ),
  frame(
    `(?:explain|describe|define|tell me|tell us)(?: to me)? what ${ARTICLE}(.+?) (?:is|are|means?)`,
    'define',
  ),
  frame(`what ${ARTICLE}(.+?) (?:is|are|means)`, 'define'),
  frame(
    `(?:explain|describe|define|tell me about|tell us about|tell me|explain to me|introduce|clarify)(?: the (?:concept|meaning|term|idea) (?:of )?)? ?${ARTICLE}(.+)`,
    'define',
  ),
  frame(`(.+?),? (?:what is (?:it|that|this)|meaning|definition|explained)`, 'define'),
  frame(`(.+) (?:is|are) what`, 'define'),
  frame(`what (?:is|are|was|were) ${ARTICLE}(.+)`, 'define'),
  frame(
    '((?:is|are|was|were|am|do|does|did|can|could|should|would|will|shall|may|might|must|has|have|had) .+)',
    'yes-no',
  ),
];

export function englishForm(original: string, normalised: string): QuestionForm {
  const marked = markAcronyms(original);
  const expanded = replacePhrases(expandContractions(normalise(marked).replaceAll(/["“”«»]/g, ' '))).replace(
    AND_WHY,
    '',
  );
  const past = /\b(?:was|were|did|had)\b/.test(expanded);
  const framed = matchFrame(stripCourtesies(expanded.replaceAll(/\s+/g, ' ').trim()));
  const { kind } = framed;
  const content = impersonal(framed);
  const tokens = tokenise(kind === 'how' ? asVerb(content) : content);
  const everything = tokenise(expanded);
  // Those in words, too: "IP67", "16GB".
  const numbers = tokens.flatMap(({ word, number }) => number ?? word.match(/\d+/g) ?? []);
  const modal =
    kind === 'how' || kind === 'define'
      ? ''
      : (tokens.find(({ word }) => ENGLISH_MODALS.has(word))?.word ?? '');
  const words = tokens.filter(isContent).map(({ stem }) => stem);
  const names = namesIn(marked);
  const isSubject = ({ word, stem }: Token) =>
    !isFunctionWord(word) && (kind === 'compare' || names.has(stem) || !isCommon(stem));
  const isSequenced = (token: Token) => token.number !== undefined || isSubject(token);
  const subjects = tokens.filter((token) => token.number === undefined && isSubject(token));
  const negations = everything.filter(({ word }) => ENGLISH_NEGATIONS.has(word)).length;
  const pointers = pointersIn(content);
  const operators = operatorsIn(normalised);
  const negatedClauses = negatedIn(tokens);
  const negatedAfter = tokens.flatMap(({ word }, index) =>
    ENGLISH_NEGATIONS.has(word) ? [tokens.slice(0, index).filter(isSequenced).length] : [],
  );
  // "Does it not" and "doesn't it" are one.
  const late = negatedAfter.filter((count) => count > 1);
  const ordered = kind === 'compare' ? operandsOf(content) : words;
  return {
    language: 'en',
    normalised,
    kind,
    past,
    negations,
    negatedClauses,
    negatedAfter,
    numbers,
    words,
    subjects: subjects.map(({ stem }) => stem),
    sequence: tokens.filter(isSequenced).map(({ stem }) => stem),
    names,
    vocabulary: new Set([...everything.map(({ stem }) => stem), ...words]),
    text: words.join(''),
    modal,
    pointers,
    signs: signsOf(normalised),
    relations: relationsIn(tokens),
    attributes: attributesIn(tokens),
    compounds: new Set(words.slice(1).map((word, index) => `${words[index]}${word}`)),
    canonical: canonicalOf(
      normalised,
      `${kind}${past ? ' past' : ''}${modal && ` ${modal}`} ${pointers.join('+')} ${'not '.repeat(negations % 2)}${[...negatedClauses, ...late].join('+')}${operators}`,
      ordered,
    ),
  };
}

/** Possessives of whoever the question is asked for: "how do I keep my lawn" asks what "how do you keep your lawn" does. */
const OWN: Readonly<Record<string, RegExp>> = {
  '': /\b(?:my|your|our|ones) /g,
  i: /\b(?:my|our) /g,
  we: /\b(?:my|our) /g,
  you: /\byour /g,
  u: /\byour /g,
  one: /\b(?:ones|his|their) /g,
};

function impersonal({ content, actor }: Framed): string {
  const own = actor === undefined ? undefined : (OWN[actor] ?? OWN.one);
  return own
    ? content.replaceAll(own, '').replaceAll(/\b(?:my|your|one|our)sel(?:f|ves)\b/g, 'oneself')
    : content;
}

/** "Ways of learning" are "ways to learn". The ending is cut on both sides, so no dictionary is needed. */
function asVerb(content: string): string {
  return content.replace(/^\p{L}{4,}/u, (word) => {
    const base = /^(.*[aeiouy].*)ing$/.exec(word)?.[1] ?? word;
    return base.replace(/([b-df-hj-np-rtvwxz])\1$/, '$1').replace(/(?<=.{3})e$/, '');
  });
}

/** "IT", "US", "in May" and the A of "vitamin A" must not be taken for "it", "us", "may" and "a", nor "AIDS" for several "aid". */
function markAcronyms(text: string): string {
  if (!/\p{Ll}/u.test(text)) return text;
  return text
    .replaceAll(/(?<=\b\p{Ll}[\p{L}\d]* )A(?! \p{Lu})(?=\W|$)/gu, 'AACRONYM')
    .replaceAll(
      /(?<=\b(?:in|of|from|since|until|till|before|after|by|last|next|for|to) )(May|Will)\b/g,
      '$1ACRONYM',
    )
    .replaceAll(/\b\p{Lu}{2,}\b/gu, (word) => {
      const lower = word.toLowerCase();
      if (isFunctionWord(lower) || isCommon(lower)) return `${word}ACRONYM`;
      return word.length > 3 && word.endsWith('S') ? `${word}S` : word;
    });
}

/** Who is pointed at. Whoever asks ("how can I", "tell me about") is gone with the frame by then. */
function pointersIn(content: string): string[] {
  const words = content.match(/\p{L}+/gu) ?? [];
  return words.flatMap((word) => ENGLISH_POINTERS.get(word) ?? []);
}

function expandContractions(text: string): string {
  return (
    text
      .replaceAll(/\bcan't\b/g, 'can not')
      .replaceAll(/\bwon't\b/g, 'will not')
      .replaceAll(/\bcannot\b/g, 'can not')
      .replaceAll(
        /\b(are|is|was|were|do|does|did|has|have|had|could|should|would|must|might|need)n'?t\b/g,
        '$1 not',
      )
      .replaceAll(
        /\b(what|who|where|when|how|why|that|there|it|here|he|she)'?s\b(?!')/g,
        (whole, word: string) => (whole.includes("'") || word === 'what' ? `${word} is` : whole),
      )
      .replaceAll(/'re\b/g, ' are')
      .replaceAll(/'ll\b/g, ' will')
      .replaceAll(/'ve\b/g, ' have')
      .replaceAll(/'m\b/g, ' am')
      .replaceAll(/'d\b/g, ' would')
      // "France's capital" asks what "the capital of France" asks.
      .replaceAll(/\b([\p{L}\d-]+)'s ((?:[\p{L}\d-]+))/gu, '$2 of $1')
      .replaceAll(/s' /g, 's ')
      // A noun here: "the will of God".
      .replaceAll(/\b(will|might|can|need) of\b/g, '$1s of')
      .replaceAll("'", '')
  );
}

function replacePhrases(text: string): string {
  return ENGLISH_PHRASES.reduce(
    (rest, [pattern, replacement]) => rest.replaceAll(pattern, replacement),
    text,
  );
}

function stripCourtesies(text: string): string {
  let rest = text;
  for (let before = ''; before !== rest; ) {
    before = rest;
    for (const courtesy of COURTESIES) rest = rest.replace(courtesy, '');
    rest = rest.replace(CLOSINGS, '');
  }
  return rest;
}

function matchFrame(text: string): Framed {
  for (const { pattern, kind, implied } of ENGLISH_FRAMES) {
    const match = pattern.exec(text);
    if (!match) continue;
    const actor = match.groups?.actor;
    const content = [implied, ...match.slice(actor === undefined ? 1 : 2)].filter(Boolean).join(' ');
    return { kind, content, actor: kind === 'how' ? (actor ?? '') : undefined };
  }
  return { kind: 'other', content: text };
}

interface Token {
  readonly word: string;
  readonly stem: string;
  readonly number?: string;
}

function tokenise(text: string): Token[] {
  const words = text.match(/[\p{L}\p{N}]+(?:[.,]\d+)*(?:[+#]+)?|[%$€£]|\^/gu) ?? [];
  const tokens: Token[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? '';
    const spelled = readEnglishNumber(words, index);
    if (spelled) {
      tokens.push({ word, stem: spelled.value, number: spelled.value });
      index += spelled.length - 1;
      continue;
    }
    tokens.push({ word, stem: stemOf(word) });
  }
  return tokens;
}

/** One form of a word for its numbers, spellings and synonyms. */
function stemOf(word: string): string {
  const singular = ENGLISH_IRREGULAR_PLURALS.get(word) ?? withoutS(word);
  const spelled = oneSpelling(singular);
  return ENGLISH_SYNONYMS.get(spelled) ?? spelled;
}

/** British spellings as American ones. Other words may change, too, but no two become one. */
function oneSpelling(word: string): string {
  return word
    .replace(/(?<=^[a-z]{3,})is(?=(?:e|ed|er|ing|ation)$)/, 'iz')
    .replace(/(?<=^[a-z]{3,})yse(?=d?$)/, 'yze')
    .replace(/(?<=^[a-z]{3,})our(?=(?:|ed|ing|ite|al|able|hood)$)/, 'or')
    .replace(/(?<=^[a-z]{2,}t)re$/, 'er')
    .replace(/(?<=^[a-z]{3,})ogue$/, 'og')
    .replace(/(?<=^[a-z]{3,})ence$/, 'ense');
}

/** Plurals and third persons (S-stemmer; Harman, "How effective is suffixing?", JASIS 1991). */
function withoutS(word: string): string {
  if (word.length < 4 || !word.endsWith('s')) return word;
  if (/[^ea]ies$/.test(word)) return `${word.slice(0, -3)}y`;
  if (/(?:ss|x|z|ch|sh)es$/.test(word)) return word.slice(0, -2);
  if (/(?:us|ss|is)$/.test(word) || !/[aeiouy].*s$/.test(word)) return word;
  return word.slice(0, -1);
}

function isContent({ word, number }: Token): boolean {
  return number !== undefined || !isFunctionWord(word);
}

function isFunctionWord(word: string): boolean {
  return (
    ENGLISH_STOP_WORDS.has(word) ||
    ENGLISH_POINTERS.has(word) ||
    ENGLISH_MODALS.has(word) ||
    ENGLISH_NEGATIONS.has(word) ||
    /^(?:was|were|did|had)$/.test(word)
  );
}

function isCommon(stem: string): boolean {
  return ENGLISH_COMMON_WORDS.has(stem) || ENGLISH_COMMON_WORDS.has(`${stem}s`);
}

/** Numbers of the clauses that say the opposite, from the second on. */
function negatedIn(tokens: readonly Token[]): number[] {
  const parities: number[] = [0];
  for (const { word } of tokens) {
    if (ENGLISH_CLAUSE_WORDS.has(word)) parities.push(0);
    else if (ENGLISH_NEGATIONS.has(word)) parities[parities.length - 1]! ^= 1;
  }
  return parities.flatMap((parity, clause) => (parity === 1 && clause > 0 ? [clause] : []));
}

/** "To" is one beside "from"; elsewhere it mostly begins an infinitive. */
function relationsIn(tokens: readonly Token[]): string[] {
  const isPath = tokens.some(({ word }) => word === 'from');
  return tokens.flatMap(({ word }) =>
    ENGLISH_RELATIONS.has(word) || (isPath && word === 'to') ? [word] : [],
  );
}

function attributesIn(tokens: readonly Token[]): Attribute[] {
  return tokens.flatMap(({ word: relation }, index) => {
    if (!ENGLISH_ATTRIBUTIVE.has(relation)) return [];
    const head = tokens.slice(0, index).findLast(isContent)?.stem;
    const after = tokens.slice(index + 1);
    const end = after.findIndex(({ word }) => ENGLISH_RELATIONS.has(word) || ENGLISH_ATTRIBUTIVE.has(word));
    const object = (end < 0 ? after : after.slice(0, end)).filter(isContent).map(({ stem }) => stem);
    return head && object.length > 0 ? [{ relation, head, object }] : [];
  });
}

/** What is compared, in an order of its own: "A and B" are "B and A". */
function operandsOf(content: string): string[] {
  return content
    .split(/,? (?:and|&|vs\.?|versus|or|from|with|to) |, /)
    .map((operand) =>
      tokenise(operand)
        .filter(isContent)
        .map(({ stem }) => stem)
        .join(' '),
    )
    .sort();
}

/** Stems of words that are written like names: capital inside a sentence, all capitals, or quoted. */
function namesIn(original: string): ReadonlySet<string> {
  const names = new Set<string>();
  const note = (text: string) => {
    for (const word of text.toLowerCase().match(/[\p{L}\p{N}]+[+#]*/gu) ?? []) names.add(stemOf(word));
  };
  for (const [, quoted = ''] of original.matchAll(/["“«]([^"”»]{1,80})["”»]/g)) note(quoted);
  for (const { 0: word, index } of original.matchAll(/[\p{L}\p{N}]+[+#]*/gu)) {
    const opensSentence = /(?:^|[.?!]\s*)["'“(]*$/.test(original.slice(0, index));
    const shout = /^\p{Lu}[\p{Lu}\p{N}]+$/u.test(word) && romanNumber(word) === undefined;
    if (shout || (!opensSentence && /^\p{Lu}/u.test(word) && word !== 'I')) note(word);
  }
  return names;
}
