import type { Candidate } from './candidates.js';
import { countriesIn } from './countries.js';
import { lifeDates } from './dates.js';
import { makerOf, makerRoleIn } from './makers.js';
import { firstOf, type Subject, type SubjectIndex } from './subjects.js';

type Kin = 'father' | 'mother' | 'spouse' | 'child';

const NAME = String.raw`(\p{Lu}[\p{L}.'’-]*(?:\s+(?:\p{Lu}[\p{L}.'’-]*|[IVX]+|of|de|da|di|von|van|der|bin|ibn|al|the))*(?:,\s+\p{Ll}?\p{L}+\s+(?:of|von|de)\s+\p{Lu}[\p{L}'’-]*)?)`;

/** How texts name someone's relatives; the group holds the name. */
const KIN: Readonly<Record<Kin, readonly RegExp[]>> = {
  father: [
    String.raw`\b(?:son|daughter|child|children) (?:and \w+ |\w+ )?(?:of|to) (?:(?:the|a|an) )?(?:\p{Ll}+ )*${NAME}`,
    String.raw`\bfather(?:,| was| is)? (?:the )?(?:\p{Ll}+ )*${NAME}`,
    String.raw`\bborn to (?:the )?(?:\p{Ll}+ )*${NAME}`,
  ].map((source) => new RegExp(source, 'u')),
  mother: [
    String.raw`\bmother(?:,| was| is)? (?:the )?(?:\p{Ll}+ )*${NAME}`,
    String.raw`\b(?:son|daughter|child|children) of .{2,90}? (?:and|by) (?:his |her )?(?:\p{Ll}+ )*(?:wife,? )?${NAME}`,
    String.raw`\bborn to .{2,90}? and (?:his \p{Ll}+,? )?${NAME}`,
  ].map((source) => new RegExp(source, 'u')),
  spouse: [
    String.raw`\b(?:married|marry|wed)(?: to)? (?:the )?(?:\p{Ll}+ )*${NAME}`,
    String.raw`\b(?:wife|husband|spouse|consort|widow|widower)(?: of|,| was| is)? (?:the )?(?:\p{Ll}+ )*${NAME}`,
  ].map((source) => new RegExp(source, 'u')),
  child: [
    String.raw`\b(?:father|mother|parent)s? (?:of|to) (?:the )?(?:\p{Ll}+ )*${NAME}`,
    String.raw`\b(?:son|daughter|child)(?:,| was| is)? (?:the )?(?:\p{Ll}+ )*${NAME}`,
  ].map((source) => new RegExp(source, 'u')),
};

const KIN_WORDS: readonly (readonly [RegExp, readonly Kin[]])[] = [
  [/\bpaternal grandfather\b/iu, ['father', 'father']],
  [/\bpaternal grandmother\b/iu, ['father', 'mother']],
  [/\bmaternal grandfather\b/iu, ['mother', 'father']],
  [/\bmaternal grandmother\b/iu, ['mother', 'mother']],
  [/\bfather-in-law\b/iu, ['spouse', 'father']],
  [/\bmother-in-law\b/iu, ['spouse', 'mother']],
  [/\bfather\b|父亲|爸爸/iu, ['father']],
  [/\bmother\b|母亲|妈妈/iu, ['mother']],
  [/\b(?:husband|wife|spouse)\b|丈夫|妻子|配偶/iu, ['spouse']],
  [/\b(?:child|son|daughter)\b|儿子|女儿|孩子/iu, ['child']],
];

type Read = (text: string) => true | undefined;
const when = (holds: boolean): true | undefined => (holds ? true : undefined);

/** What may be asked of the one at the end of a chain, and whether a sentence says it. */
const ATTRIBUTES: readonly (readonly [RegExp, Read])[] = [
  [
    /\bplace of birth\b|\bbirthplace\b|\bwhere\b.*\bborn\b|出生地|哪里出生|出生在哪/iu,
    (text) =>
      when(
        /\bborn\b[^.]{0,60}?\b(?:in|at|near)\s+(?:the\s+)?\p{Lu}|\bborn\b[^)]{0,40}\d{4},? (?:in )?\p{Lu}|\bnative of\b|出生于|生于/u.test(
          text,
        ),
      ),
  ],
  [
    /\bplace of death\b|\bwhere\b.*\b(?:die[ds]?|death)\b|去世地|在哪里去世/iu,
    (text) =>
      when(
        /\b(?:died|death|killed|executed|murdered|passed away)\b[^.]{0,80}?\b(?:in|at|near)\s+(?:the\s+)?\p{Lu}|[–-][^)]{0,40}\d{4}[, ]+(?:in )?\p{Lu}[^)]*\)|逝世于|卒于|去世/u.test(
          text,
        ),
      ),
  ],
  [/\bburied\b|\bburial\b|安葬|葬/iu, (text) => when(/\bburied\b|\binterred\b|葬/iu.test(text))],
  [
    /\bcause of death\b|\bwhy did\b.*\bdie\b|\bdied? (?:of|from)\b|死因/iu,
    (text) =>
      when(
        /\bdied (?:of|from)\b|\b(?:killed|murdered|executed|suicide|assassinated|cancer|heart attack|accident)\b|死于/iu.test(
          text,
        ),
      ),
  ],
  [
    /\bdate of birth\b|\bbirthday\b|\bwhen\b.*\bborn\b|出生日期|何时出生|生日/iu,
    (text) => when(lifeDates(text).born !== undefined),
  ],
  [
    /\bdate of death\b|\bwhen\b.*\b(?:die[ds]?|death)\b|何时去世/iu,
    (text) => when(lifeDates(text).died !== undefined),
  ],
  [/\bnationality\b|\bcountry\b|国籍|哪国/iu, (text) => when(countriesIn(text).length > 0)],
  [
    /\b(?:stud(?:y|ied)|graduated?|educated|alma mater|education)\b|毕业/iu,
    (text) =>
      when(
        /\b(?:studied|graduated|educated|attended|University|College|School|Institute|Academy)\b|毕业/u.test(
          text,
        ),
      ),
  ],
  [/\bawards?\b|\bprize\b|奖/iu, (text) => when(/\b(?:Award|Prize|Medal|awarded|won)\b|奖/u.test(text))],
  [
    /\bwork(?:s|ed)? (?:at|for|as)\b|\boccupation\b|\bemployer\b|\bprofession\b|职业/iu,
    (text) => when(/\b(?:worked|professor|taught|employed|joined|served|is an?|was an?)\b|任职/u.test(text)),
  ],
];

/** Words that stand behind the name in questions such as "where was the father of X born". */
const TAIL =
  /\s+(?:born|die[ds]?|buried|from|work(?:s|ed)?(?: at| for)?|stud(?:y|ied)(?: at)?|graduated?(?: from)?|educated|win|won|receive[ds]?|get)\s*$/iu;

/**
 * Sentences that lead from what a question names to what it asks of somebody else: "where was the director of X born"
 * needs who directed X, and where that one was born. `undefined` when the question has no such form, or a link is
 * missing.
 */
export function followChain(question: string, index: SubjectIndex): readonly Candidate[] | undefined {
  const bare = question.trim().replace(/[\s?？.。!！]+$/u, '');
  const start = startOf(bare, index);
  if (!start) return undefined;
  const { subject, rest } = start;
  const kin = KIN_WORDS.find(([pattern]) => pattern.test(rest))?.[1] ?? [];
  const maker = makerRoleIn(rest);
  const attribute = ATTRIBUTES.find(([pattern]) => pattern.test(rest))?.[1];
  if (!maker && kin.length === 0) return undefined;
  let current = subject;
  const evidence: Candidate[] = [];
  if (maker) {
    const made = makerOf(current, maker, index);
    if (!made) return undefined;
    evidence.push(...made.evidence);
    current = made.subject;
  }
  for (const [step, relation] of kin.entries()) {
    const last = step === kin.length - 1 && !attribute;
    const found = firstOf(current, (text) => kinIn(text, relation));
    if (!found) return undefined;
    evidence.push(...found.evidence);
    if (last) return evidence;
    const next = index.findLoosely(found.value);
    if (!next) return undefined;
    current = next;
  }
  if (!attribute) return undefined;
  const stated = firstOf(current, attribute);
  return stated && [...evidence, ...stated.evidence];
}

function kinIn(text: string, relation: Kin): string | undefined {
  for (const pattern of KIN[relation]) {
    const name = pattern.exec(text)?.[1];
    if (name !== undefined) return name.replace(/[.'’,]+$/u, '');
  }
  return undefined;
}

/** What the chain starts from: the name before "'s father", or at the end. */
function startOf(question: string, index: SubjectIndex): { subject: Subject; rest: string } | undefined {
  for (const match of question.matchAll(/['’]s\s+/gu)) {
    const before = index.nameAtEnd(question.slice(0, match.index));
    const after = question.slice(match.index + match[0].length);
    if (before) return { subject: before.subject, rest: `${before.rest} ${after}` };
  }
  const tail = TAIL.exec(question)?.[0] ?? '';
  const found = index.nameAtEnd(question.slice(0, question.length - tail.length));
  return found && { subject: found.subject, rest: `${found.rest}${tail}` };
}
