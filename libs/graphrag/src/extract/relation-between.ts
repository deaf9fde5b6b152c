/** What the words between two names say about them. */
export interface RelationBetween {
  /** Lower-case verb phrase such as `born_in`, `capital_of`, `directed_by`, or `related_to`. */
  readonly type: string;
  readonly confidence: number;
}

const UNSTATED: RelationBetween = { type: 'related_to', confidence: 0.3 };

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

const BE = words('is are was were be been being');
const AUXILIARY = words('has have had having can could may might must shall should will would does do did');
const ADVERB = words(
  `also then currently later first originally formerly mainly mostly only just often usually sometimes always never
   still now once soon again already eventually briefly primarily typically generally commonly widely largely
   closely directly finally initially previously recently jointly both together in-turn very`,
);
const DETERMINER = words(
  `a an the its his her their this that these those some any many several most all both each every one two three
   other another such various much more no`,
);
const PREPOSITION = words(
  `in on at by of for from to with as into under against during near through over after before since until upon
   within without between among alongside towards toward across around about off out up`,
);
/** Ends a clause or opens one whose subject is the same. */
const LINK = words('and but who which that');
/** Words that show that the phrase is no verb with its object. */
const FOREIGN = words('or if when where while because than not nor whose whom he she it they we you there');

/** Present forms that say that a relation holds, with their third person; other words in -s are taken for plurals. */
const PRESENT = new Map(
  `use require need contain include involve produce cause give take make hold house operate own run lead head
   manage direct write sing play star feature teach study train learn predict minimise minimize maximise maximize
   optimise optimize estimate compute calculate model approximate measure evaluate generalise generalize extend
   combine apply implement solve reduce increase prevent improve avoid enable allow support help replace follow
   precede join link connect border neighbour oppose contrast compare differ depend rely build base draw assume
   presuppose explain describe define denote mean represent express encode decode generate transform map convert
   turn split divide separate group cluster classify regularise regularize penalise penalize adapt adjust update
   average sample share transfer inherit form comprise consist belong lie stand sit flow rise serve work live
   reside act appear represent publish release distribute supply sell buy acquire found establish create design
   develop invent discover propose introduce receive win lose beat defeat marry succeed command govern rule
   process perform return store read search retrieve add subtract multiply normalise normalize attend`
    .trim()
    .split(/\s+/)
    .flatMap((base) => [base, thirdPerson(base)].map((form) => [form, thirdPerson(base)] as const)),
);
/** Of these, the ones that are as often nouns: a determiner or a preposition must follow. */
const ALSO_NOUN = words(
  `cause run lead head star feature study model measure support help link border neighbour contrast build map
   split group cluster form share sample average rule process transfer turn release supply design work cover
   rise purchase update estimate sound play command return store search address increase approximate separate`,
);
const IRREGULAR_PAST = words(
  `born won wrote written made led began begun became become sold built held left met sang sung gave given got grew
   grown knew known ran run saw seen set shot spent stood taught told took taken went gone found bought fought drew
   drawn lay lost beat beaten chosen chose shown sat spoke spoken sent kept felt fell fallen drove driven`,
);
/** Adjectives and nouns that look like past forms. */
const NOT_PAST = words(
  `supervised unsupervised labelled labeled unlabelled unlabeled weighted related hidden limited united fixed mixed
   biased unbiased hundred red need speed feed seed breed embed bed shed sacred naked wicked indeed instead`,
);
const STARTING_GERUND = words('starring featuring including involving using containing');

function thirdPerson(base: string): string {
  if (/(?:s|x|z|ch|sh|o)$/.test(base)) return `${base}es`;
  return /[^aeiou]y$/.test(base) ? `${base.slice(0, -1)}ies` : `${base}s`;
}

/**
 * The relation that the words between two names express. A type comes from a verb of which the first name is the
 * subject and the second the object (`was born in` → `born_in`, `requires the` → `requires`), or from a noun that
 * the first name is said to be (`is the capital of` → `capital_of`). Anything else is `related_to`. With
 * `subjectNoun` the first word is a noun that stands for the first name: `The film was directed by`.
 */
export function relationBetween(
  between: string,
  options: { readonly subjectNoun?: boolean } = {},
): RelationBetween {
  const plain = between.replace(/\([^)]*\)|（[^）]*）/g, ' ').trim();
  if (plain.length > 90 || /[;:.。；：!?！？]/.test(plain)) return UNSTATED;
  const chinese = chineseRelationBetween(plain);
  if (chinese) return chinese;
  const all: string[] = plain.toLowerCase().match(/[\p{L}\p{M}]+(?:[-'’][\p{L}\p{M}]+)*|,/gu) ?? [];
  const tokens = options.subjectNoun ? all.slice(1) : all;
  if (tokens.length === 0 || tokens.length > 14) return UNSTATED;
  const appositive = tokens[0] === ',';
  const clause = lastClause(tokens);
  if (clause.some((token) => FOREIGN.has(token))) return UNSTATED;
  const type =
    verbPhrase(clause) ??
    (appositive && tokens.lastIndexOf(',') === 0 && clause.length === tokens.length - 1
      ? nounPhraseOf(clause)
      : undefined);
  if (type === undefined) return UNSTATED;
  return { type: type.slice(0, 60), confidence: tokens.length <= 5 ? 0.7 : 0.5 };
}

/** What follows the last comma, conjunction or relative pronoun: its verb still has the first name for subject. */
function lastClause(tokens: readonly string[]): readonly string[] {
  const at = tokens.findLastIndex((token) => token === ',' || LINK.has(token));
  return tokens.slice(at + 1);
}

function verbPhrase(clause: readonly string[]): string | undefined {
  let at = skip(clause, 0, (word) => isAdverb(word) || AUXILIARY.has(word));
  if (clause[at] !== undefined && BE.has(clause[at]!)) {
    at = skip(clause, at, (word) => BE.has(word) || isAdverb(word));
    return predicate(clause.slice(at));
  }
  const verb = clause[at];
  if (verb === undefined) return undefined;
  const rest = clause.slice(at + 1);
  const finite = PRESENT.has(verb) || isPast(verb);
  if (!finite) return STARTING_GERUND.has(verb) && ends(rest) ? verb : undefined;
  if (rest.length === 0 && (ALSO_NOUN.has(verb) || ALSO_NOUN.has(verb.replace(/s$/, '')))) {
    return undefined;
  }
  return withComplement(PRESENT.get(verb) ?? verb, rest);
}

/** What stands behind a form of "to be". */
function predicate(rest: readonly string[]): string | undefined {
  if (ends(rest)) return 'is_a';
  const first = rest[0]!;
  if (isPast(first)) return withComplement(first, rest.slice(1));
  if (first === 'in' && ends(rest.slice(1))) return 'located_in';
  const participle = rest.findLastIndex((word, index) => index > 0 && isPast(word));
  if (
    participle > 0 &&
    participle <= 5 &&
    rest.slice(0, participle).every((word) => !PREPOSITION.has(word))
  ) {
    const found = withComplement(rest[participle]!, rest.slice(participle + 1));
    if (found?.includes('_')) return found;
  }
  return nounPhraseOf(rest);
}

/** `verb`, `verb_preposition` or `verb_noun_preposition`, when nothing but a determiner follows. */
function withComplement(verb: string, rest: readonly string[]): string | undefined {
  const [first, second] = rest;
  if (ends(rest)) return verb;
  if (first !== undefined && PREPOSITION.has(first)) {
    if (ends(rest.slice(1))) return `${verb}_${first}`;
    return second !== undefined && PREPOSITION.has(second) && ends(rest.slice(2))
      ? `${verb}_${first}_${second}`
      : undefined;
  }
  if (first === undefined || second === undefined || !isPlainWord(first) || !PREPOSITION.has(second))
    return undefined;
  return ends(rest.slice(2)) ? `${verb}_${first}_${second}` : undefined;
}

/** `the capital of the` → `capital_of`: at most three words and a preposition. */
function nounPhraseOf(phrase: readonly string[]): string | undefined {
  const from = skip(phrase, 0, (word) => DETERMINER.has(word));
  const end = phrase.findLastIndex((word) => !DETERMINER.has(word));
  const nouns = phrase.slice(from, end);
  if (nouns.length === 0 || nouns.length > 3 || !PREPOSITION.has(phrase[end]!)) return undefined;
  if (!nouns.every((word) => isPlainWord(word) && !/(?:ly|ing)$/.test(word))) return undefined;
  return [...nouns, phrase[end]!].join('_');
}

/** True when only determiners are left before the second name. */
function ends(rest: readonly string[]): boolean {
  return rest.length <= 2 && rest.every((word) => DETERMINER.has(word));
}

function skip(tokens: readonly string[], from: number, skipped: (word: string) => boolean): number {
  let at = from;
  while (at < tokens.length && skipped(tokens[at]!)) at += 1;
  return at;
}

function isAdverb(word: string): boolean {
  return ADVERB.has(word) || (word.length > 4 && word.endsWith('ly'));
}

function isPast(word: string): boolean {
  return IRREGULAR_PAST.has(word) || (word.length > 4 && word.endsWith('ed') && !NOT_PAST.has(word));
}

function isPlainWord(word: string): boolean {
  return (
    /^[\p{L}-]+$/u.test(word) &&
    !DETERMINER.has(word) &&
    !PREPOSITION.has(word) &&
    !BE.has(word) &&
    !AUXILIARY.has(word) &&
    !isAdverb(word)
  );
}

const PASSIVE = /^(\p{L}+)_(?:by|in|at|on|for|from|to|with|as|under)$/u;
const PREPOSITION_ONLY = /^\s*(by|in|at|on|from|under|with|for)(?:\s+(?:the|an?))?\s*$/u;

/** The verb of a relation such as `founded_in`, to which more prepositions may attach. */
export function verbOfRelation(type: string): string | undefined {
  const verb = PASSIVE.exec(type)?.[1];
  return verb !== undefined && isPast(verb) ? verb : undefined;
}

/** The preposition that is all there is between two names: `founded in 1931 by X`. */
export function prepositionOnly(between: string): string | undefined {
  return PREPOSITION_ONLY.exec(between)?.[1];
}

const PARTICIPLE =
  /\b(\p{Ll}+(?:ed|en|wn)|born|made|set|led|built|sung|held|sold|won) (by|in|at|on|for|from|as|to|with) (?:the |an? )?$/u;

/**
 * The participle phrase right before a name in a sentence that says what its subject is:
 * `X is a 2021 film directed by ` gives `directed_by`. Undefined without one.
 */
export function participleBefore(fromSubject: string): string | undefined {
  if (
    fromSubject.length > 200 ||
    !/^[^.;]{0,60}?\b(?:is|are|was|were) (?:an?|the|one of)\b/.test(fromSubject)
  )
    return undefined;
  const match = PARTICIPLE.exec(fromSubject.slice(-40));
  return match ? `${match[1]}_${match[2]}` : undefined;
}

/** A date is when something happened, never what something is: other verbs than `…_in` and the like are dropped. */
export function relationToDate(type: string): boolean {
  return type !== 'located_in' && /_(?:in|on|at|from|to|since|by|until|during)$/.test(type);
}

const ZH_VERBS: readonly (readonly [RegExp, string])[] = [
  [/^.{0,6}(?:出生于|出生在|生于)$/, 'born_in'],
  [/^(?:市|县)?(?:位于|坐落于|坐落在)$/, 'located_in'],
  [/^(?:也|都)?(?:属于|隶属于)$/, 'belongs_to'],
  [/^(?:主要)?(?:包括|包含)(?:了)?$/, 'includes'],
  [/^(?:可以?|常|被|主要|广泛)*(?:用于|应用于)$/, 'used_in'],
  [/^(?:依赖于?|基于|建立在)$/, 'depends_on'],
  [/^(?:首先|最早|于.{0,8})?(?:提出|发明|创立|创建)(?:了)?$/, 'proposed'],
  [/^毕业于$/, 'graduated_from'],
  [/^(?:导演|执导)(?:了|的)?$/, 'directed'],
  [/^(?:创作|撰写|写|著)(?:了|过|的|有)?$/, 'wrote'],
  [/^(?:常|通常|可以)?(?:使用|利用|采用)(?:了)?$/, 'uses'],
  [/^是一[种个类门项]$/, 'is_a'],
];

function chineseRelationBetween(between: string): RelationBetween | undefined {
  if (!/\p{Script=Han}/u.test(between)) return undefined;
  const plain = between.replace(/[《》「」“”\s]/g, '').replace(/^[，,]/, '');
  const known = plain.length > 20 ? undefined : ZH_VERBS.find(([pattern]) => pattern.test(plain));
  return known ? { type: known[1], confidence: 0.6 } : UNSTATED;
}
