import type { Candidate } from './candidates.js';
import type { Subject, SubjectIndex } from './subjects.js';

const ROLES: readonly (readonly [string, string])[] = [
  ['directors?', 'directed'],
  ['producers?', 'produced'],
  ['(?:authors?|writers?)', 'written'],
  ['composers?', 'composed'],
  ['(?:performers?|singers?)', '(?:performed|sung|recorded)'],
  ['founders?', 'founded'],
  ['designers?', 'designed'],
  ['导演', 'directed'],
];
/** "The director of", "whose director", "directors of both": a role somebody has, not what somebody is. */
const HELD = ROLES.map(
  ([role, verb]) =>
    [
      /\p{Script=Han}/u.test(role)
        ? new RegExp(role, 'u')
        : new RegExp(`\\b(?:the|whose|both|do|are|were|did)\\s+${role}\\b|\\b${role}\\s+of\\b`, 'iu'),
      verb,
    ] as const,
);

/** The verb of the role that `text` asks by way of; how many there are of them is not asked of one. */
export function makerRoleIn(text: string): string | undefined {
  if (/\b(?:more|fewer|how many)\b/iu.test(text)) return undefined;
  return HELD.find(([pattern]) => pattern.test(text))?.[1];
}

const NAME = String.raw`((?:\p{Lu}[\p{L}.'’-]*)(?:\s+(?:\p{Lu}[\p{L}.'’-]*|de|da|di|del|della|van|von|der|den|bin|al|el|la|le|dos|y|e))*)`;

/** Who made a subject, by what is said of it, and what the passages say of them. */
export function makerOf(
  subject: Subject,
  verb: string,
  index: SubjectIndex,
): { readonly subject: Subject; readonly evidence: readonly Candidate[] } | undefined {
  const patterns = [
    new RegExp(
      `\\b${verb}(?:\\s+and\\s+\\w+|,?\\s+\\w+(?:,? and \\w+)?)?\\s+by\\s+(?:[\\p{Ll}-]+\\s+){0,3}${NAME}`,
      'u',
    ),
    ...(verb === 'directed'
      ? [new RegExp(`\\bdirector\\s+${NAME}`, 'u'), new RegExp(`\\bfilm\\s+(?:by|of)\\s+${NAME}`, 'u')]
      : []),
    ...(verb === 'directed' ? [/由(.{2,12}?)(?:执导|导演)/u] : []),
  ];
  for (const sentence of subject.sentences) {
    for (const pattern of patterns) {
      const name = pattern.exec(sentence.text)?.[1];
      const maker = name === undefined ? undefined : index.findLoosely(name.replace(/[.'’]+$/u, ''));
      if (maker) return { subject: maker, evidence: [sentence] };
    }
  }
  return undefined;
}
