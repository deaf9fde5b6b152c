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

/** Different words for one thing in questions. */
export const ENGLISH_SYNONYMS: ReadonlyMap<string, string> = new Map([
  ['benefit', 'advantage'],
  ['pro', 'advantage'],
  ['merit', 'advantage'],
  ['drawback', 'disadvantage'],
  ['con', 'disadvantage'],
  ['demerit', 'disadvantage'],
  ['downside', 'disadvantage'],
  ['upside', 'advantage'],
]);

const ANTONYMS = `
  increase decrease|advantage disadvantage|supervised unsupervised|raise lower|gain lose|gain loss|buy sell
  open close|start stop|start end|begin end|start finish|enable disable|allow forbid|allow prevent|accept reject
  accept refuse|add remove|insert delete|create delete|create destroy|install uninstall|import export
  encode decode|encrypt decrypt|compress decompress|push pull|send receive|upload download|login logout
  maximum minimum|max min|maximise minimise|maximize minimize|maximal minimal|most least|more less|more fewer
  many few|best worst|better worse|good bad|right wrong|true false|correct incorrect|positive negative
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
  const note = (word: string, opposite: string) => {
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
  typically understand using usually various want way whole wish would yet
`);

/** Relate words to each other; another one can be another question ("poems about India", "poems in India"). */
export const ENGLISH_RELATIONS = list(`
  in into about from by with within through over under before after during since until against towards than per via
`);
