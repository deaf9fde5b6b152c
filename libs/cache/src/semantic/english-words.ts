/** Words of English, grouped by what they do to the meaning of a question. All lower case. */

const list = (words: string) => new Set(words.trim().split(/\s+/));

/** Carry no content of their own. */
export const ENGLISH_STOP_WORDS = list(`
  a an the is are am be been being do does of on at for and or that it its as please just really actually
  exactly basically simply so such some any very kindly ok okay also then ever up out off there people has have
`);

/** Turn a statement into its opposite. */
export const ENGLISH_NEGATIONS = list(`
  not no never none nobody nothing neither nor nowhere without cannot hardly barely except excluding lack lacking
  avoid prevent stop refuse fail unable
`);

/** Change what is asked about the same words. */
export const ENGLISH_MODALS = list('can could should shall must may might will would need ought');

/** Say who or what in the surroundings is meant; another one is another question. */
export const ENGLISH_POINTERS: ReadonlyMap<string, string> = new Map([
  ['i', 'i'],
  ['we', 'i'],
  ['me', 'me'],
  ['us', 'me'],
  ['you', 'you'],
  ['one', 'one'],
  ['someone', 'one'],
  ['somebody', 'one'],
  ['anyone', 'one'],
  ['anybody', 'one'],
  ['everyone', 'all'],
  ['everybody', 'all'],
  ['he', 'he'],
  ['him', 'he'],
  ['she', 'she'],
  ['they', 'they'],
  ['them', 'they'],
  ['this', 'this'],
  ['these', 'this'],
  ['those', 'this'],
  ['here', 'here'],
  ['my', 'my'],
  ['mine', 'my'],
  ['our', 'my'],
  ['your', 'your'],
  ['yours', 'your'],
  ['his', 'his'],
  ['her', 'her'],
  ['their', 'their'],
]);

/** Different words for one thing, whatever the subject; each line begins with the one that stands for all. */
const SYNONYMS = `
  advantage benefit pro merit upside
  disadvantage drawback con demerit downside
  buy purchase
  start begin commence
  movie film
  improve enhance
  increase boost
  reduce lessen
  child kid
  picture photo pic photograph
  tv television
  website site webpage
  app application
  ad advert advertisement
  exam examination
  math mathematics
  government govt
  university uni
  phone smartphone cellphone
  computer pc
  internet web
  error mistake
  reason cause
  effect impact
  importance significance
  important significant
  goal aim objective
  choose select pick
  happen occur
  fix repair
  assist aid
  company firm
  doctor physician
  lawyer attorney
  job employment
  rich wealthy
  smart intelligent
  easy simple
  hard difficult tough
  big large huge
  bigger larger
  biggest largest
  quick fast rapid
  fastest quickest
  small tiny
  funny hilarious
  favorite fav favourite
  dollar usd
  euro eur
  rupee rs inr
  percent %
  kilogram kg kilo
  kilometer km
  program programme
  gray grey
  father dad
  mother mom mum
  mean signify
  usa us usacronym america
  uk ukacronym britain
  tip trick
  answer reply
  when while
  learned learnt
  scared afraid
  dreamed dreamt
  place location spot
  type kind sort
  story tale
  trip journey
  salary wage
  illness disease sickness
  earth world
`;

export const ENGLISH_SYNONYMS: ReadonlyMap<string, string> = new Map(
  SYNONYMS.trim()
    .split('\n')
    .flatMap((line) => {
      const [first = '', ...others] = line.trim().split(' ');
      return others.map((other) => [other, first] as const);
    }),
);

export const ENGLISH_IRREGULAR_PLURALS: ReadonlyMap<string, string> = new Map(
  'children/child men/man women/woman people/people feet/foot teeth/tooth mice/mouse geese/goose wives/wife knives/knife lives/life leaves/leaf halves/half wolves/wolf shelves/shelf thieves/thief loaves/loaf criteria/criterion phenomena/phenomenon analyses/analysis hypotheses/hypothesis crises/crisis theses/thesis matrices/matrix vertices/vertex indices/index'
    .split(' ')
    .map((pair) => pair.split('/') as [string, string]),
);

/** What is said in several words, in one. Applied in this order, to lower case. */
export const ENGLISH_PHRASES: readonly (readonly [RegExp, string])[] = [
  [/\bu\.? ?s\.?(?: ?a\.?)(?=\W|$)|\bu\.s\.?(?=\W|$)|\bunited states(?: of america)?\b/g, 'usa'],
  [/\bu\.k\.?(?=\W|$)|\bunited kingdom\b|\bgreat britain\b/g, 'uk'],
  [/\b(?:cell|mobile|smart) ?phone(s?)\b/g, 'phone$1'],
  [/\bweb ?(?:site|page)(s?)\b/g, 'website$1'],
  [/\bpros (?:and|&|or) cons\b/g, 'advantages and disadvantages'],
  [/\bearn(ing)? (?=(?:\w+ )?money\b)/g, 'mak$1 '],
  [/\bmak (?=(?:\w+ )?money\b)/g, 'make '],
  [/\b(?:as well as|along with|together with)\b/g, 'and'],
  [/\bin order to\b/g, 'to'],
  [/\b(?:a lot of|lots of|plenty of)\b/g, 'much'],
  [/\b(?:right now|at the moment|at present|nowadays|these days|as of now)\b/g, 'now'],
  [/\b(?:per ?cent)\b/g, '%'],
  [/\b(best|greatest|most|top|worst)\b(.*?) (?:of all times?|ever)(?=$|[?.,])/g, '$1$2'],
  [/\bdue to\b/g, 'because of'],
];

const ANTONYMS = `
  increase decrease|advantage disadvantage|supervised unsupervised|raise lower|gain lose|gain loss|buy sell
  open close|start stop|start end|begin end|start finish|enable disable|allow forbid|allow prevent|accept reject
  accept refuse|add remove|insert delete|create delete|create destroy|install uninstall|import export
  encode decode|encrypt decrypt|compress decompress|push pull|send receive|upload download|login logout
  maximum minimum|max min|maximise minimise|maximize minimize|maximal minimal|most least|more less|more fewer
  many few|much little|much few|best worst|better worse|good bad|right wrong|true false|correct incorrect|positive negative
  high low|higher lower|highest lowest|large small|larger smaller|largest smallest|big small|bigger smaller
  biggest smallest|long short|longer shorter|longest shortest|fast slow|faster slower|fastest slowest|early late
  earlier later|first last|old new|older newer|oldest newest|old young|hot cold|warm cold|rich poor|strong weak
  hard soft|hard easy|difficult easy|simple complex|cheap expensive|safe dangerous|public private|internal external
  inner outer|input output|before after|above below|over under|inside outside|left right|top bottom|front back
  up down|on off|with without|for against|male female|man woman|boy girl|husband wife|father mother|son daughter
  brother sister|love hate|like dislike|win lose|success failure|succeed fail|pass fail|live die|birth death
  north south|east west|day night|forward backward|ascending descending|horizontal vertical|parallel serial
  synchronous asynchronous|static dynamic|linear nonlinear|finite infinite|discrete continuous|deterministic stochastic
  local global|convex concave|precision recall|encoder decoder|generative discriminative|parametric nonparametric
  overfitting underfitting|overfit underfit|bias variance|client server|parent child|teacher student|employer employee
  lender borrower|attack defend|introvert extrovert|optimist pessimist|cause effect|question answer|theory practice
  acid base|freeze melt|expand contract|expand shrink|grow shrink|rise fall|appear disappear|arrive depart
  enter leave|enter exit|give take|lend borrow|teach learn|sleep wake|build destroy|attach detach|connect disconnect
  lock unlock|block unblock|follow unfollow|subscribe unsubscribe|legal illegal|possible impossible|ancient modern
`;

/** Words that exclude each other, both ways. */
export const ENGLISH_ANTONYMS: ReadonlyMap<string, ReadonlySet<string>> = (() => {
  const opposites = new Map<string, Set<string>>();
  const note = (...pair: readonly [string, string]) => {
    const [word, opposite] = pair.map((one) => ENGLISH_SYNONYMS.get(one) ?? one) as [string, string];
    const known = opposites.get(word) ?? new Set();
    known.add(opposite);
    opposites.set(word, known);
  };
  for (const pair of ANTONYMS.split(/[|\n]/)) {
    const [left, right] = pair.trim().split(/\s+/);
    if (!left || !right) continue;
    note(left, right);
    note(right, left);
  }
  return opposites;
})();

/** Prefixes that turn a word into its opposite: `stable`, `unstable`. */
export const ENGLISH_NEGATING_PREFIXES = [
  'un',
  'in',
  'im',
  'il',
  'ir',
  'non',
  'dis',
  'anti',
  'de',
  'mis',
  'counter',
];

/**
 * Common words that questions may differ in and still ask the same. Every other word is taken to say what the
 * question is about.
 */
export const ENGLISH_COMMON_WORDS = list(`
  about actual again already another around both certain completely correctly currently easily effectively
  enough example exactly fact from generally happen happened help in include instead into by with involve kind know
  like likely lot main mainly mean meaning means normally now often opinion other particular perfectly
  perhaps possible possibly probably properly quickly quite rather really recommend recommended related
  several something sometimes sort specific still suggest sure term thing think though to together too try
  typically understand using usually various want way whole wish would yet available much far own literally
  truly definitely exact today which just even
`);

/** Relate words to each other; another one can be another question ("poems about India", "poems in India"). */
export const ENGLISH_RELATIONS = list(`
  in into about from by with within through over under before after during since until against towards than per via
`);

/** What follows them can stand before the noun as well: "documentaries on YouTube", "YouTube documentaries". */
export const ENGLISH_ATTRIBUTIVE = list('of in on by about for at');

/** Turn the word they stand with into something else, or pick one of several. */
export const ENGLISH_TURNING_WORDS = list(`
  former ex fake false pseudo counterfeit alleged almost nearly half double opposite inverse reverse virtual
  second next previous current only free alternative other different quit give
`);

/** Begin a clause that says something of its own. */
export const ENGLISH_CLAUSE_WORDS = list(`
  that who which whose what how why when while if because where but unless although though than since until so
`);
