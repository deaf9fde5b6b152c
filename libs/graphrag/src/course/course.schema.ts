import { z } from 'zod';
import { CourseInvalidError } from '../errors.js';
import { normaliseEntityName } from '../extract/entity-name.js';
import { inferPrerequisites } from './infer-prerequisites.js';

const slug = z
  .string()
  .max(100)
  .regex(/^[a-z0-9]+(?:[-_.][a-z0-9]+)*$/, 'must be lower-case words joined by "-", "_" or "."');
const line = z
  .string()
  .trim()
  .min(1)
  .max(300)
  .regex(/^\P{Cc}*$/u, 'must not hold control characters');
const prose = z.string().trim().min(1).max(4000);

const resource = z.strictObject({
  title: line,
  kind: z.string().trim().min(1).max(40),
  url: z.url({ protocol: /^https?$/ }).optional(),
});

const prerequisite = z.strictObject({
  /** Id of a concept of this course. */
  concept: slug,
  reason: prose,
  /** In `[0, 1]`; learning paths follow edges from 0.8. */
  confidence: z.number().min(0).max(1).default(1),
  /** Prerequisites of one concept that share a group are alternatives: any one suffices. */
  alternativeGroup: slug.optional(),
});

const relation = z.strictObject({
  type: z
    .string()
    .max(60)
    .regex(/^[a-z]+(?:_[a-z]+)*$/, 'must be a lower-case phrase joined by "_"')
    .refine((type) => type !== 'prerequisite_of', 'belongs into "prerequisites"'),
  /** Id of a concept of this course. */
  concept: slug,
  reason: prose,
});

const concept = z.strictObject({
  id: slug,
  name: line,
  nameZh: line.optional(),
  aliases: z.array(line).max(30).default([]),
  /** Id of one of the course's groups. */
  group: slug,
  /** 1 (easy) to 5 (hard); unknown when missing. */
  difficulty: z.int().min(1).max(5).optional(),
  /** Study time; unknown when missing. */
  hours: z.number().positive().max(1000).optional(),
  summary: prose,
  prerequisites: z.array(prerequisite).default([]),
  resources: z.array(resource).default([]),
  relations: z.array(relation).default([]),
});

const group = z.strictObject({
  id: slug,
  title: line,
  titleZh: line.optional(),
  /** File beside the course file that holds the group's text, if there is one. */
  page: z
    .string()
    .regex(/^[\w-]+(?:\.[\w-]+)*\.md$/, 'must be the name of a ".md" file without a folder')
    .optional(),
});

/**
 * A course: concepts with prerequisites, in groups with one page of text each. Beyond the shape, references must
 * resolve, names must differ and prerequisites must not form a cycle; {@link parseCourse} checks all of it.
 */
export const courseSchema = z.strictObject({
  id: slug,
  title: line,
  version: z.string().trim().min(1).max(60),
  /**
   * Adds prerequisites that the summaries suggest to those that are stated, see {@link inferPrerequisites}.
   * Default false.
   */
  inferPrerequisites: z.boolean().default(false),
  groups: z.array(group).min(1).max(200),
  concepts: z.array(concept).min(1).max(5000),
});

export type Course = z.output<typeof courseSchema>;
export type CourseInput = z.input<typeof courseSchema>;
export type CourseConcept = Course['concepts'][number];

/**
 * Checks a course file's content.
 * @throws CourseInvalidError with every mistake and its path: shape first, then references, names and cycles.
 */
export function parseCourse(input: unknown): Course {
  const parsed = courseSchema.safeParse(input);
  if (!parsed.success)
    throw new CourseInvalidError(
      parsed.error.issues.map((issue) => `${pathOf(issue.path)}: ${issue.message}`),
    );
  const problems = referenceProblems(parsed.data);
  if (problems.length > 0) throw new CourseInvalidError(problems);
  return parsed.data.inferPrerequisites ? withInferredPrerequisites(parsed.data) : parsed.data;
}

/** Stated prerequisites win; what would close a cycle with them, or is implied by others, is left out. */
function withInferredPrerequisites(course: Course): Course {
  const stated = course.concepts.flatMap((item) =>
    item.prerequisites.map((edge) => ({ concept: item.id, prerequisite: edge.concept })),
  );
  const texts = course.concepts.map(({ id, name, nameZh, aliases, summary }) => ({
    id,
    names: [name, ...(nameZh === undefined ? [] : [nameZh]), ...aliases],
    text: summary,
  }));
  const inferred = inferPrerequisites(texts, stated);
  return {
    ...course,
    concepts: course.concepts.map((item) => ({
      ...item,
      prerequisites: [
        ...item.prerequisites,
        ...inferred
          .filter((edge) => edge.concept === item.id)
          .map(({ prerequisite, reason, confidence }) => ({ concept: prerequisite, reason, confidence })),
      ],
    })),
  };
}

function pathOf(path: readonly PropertyKey[]): string {
  return path.length === 0
    ? '(course)'
    : path
        .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
        .join('')
        .slice(1);
}

function referenceProblems(course: Course): string[] {
  const problems: string[] = [];
  const unique = (seen: Map<string, string>, value: string, path: string, what: string) => {
    const first = seen.get(value);
    if (first === undefined) seen.set(value, path);
    else problems.push(`${path}: same ${what} as ${first}`);
  };

  const groups = new Map<string, string>();
  const pages = new Map<string, string>();
  course.groups.forEach((item, i) => {
    unique(groups, item.id, `groups[${i}].id`, 'id');
    if (item.page !== undefined) unique(pages, item.page, `groups[${i}].page`, 'page');
  });

  const ids = new Map<string, string>();
  const names = new Map<string, string>();
  course.concepts.forEach((item, i) => {
    unique(ids, item.id, `concepts[${i}].id`, 'id');
    unique(names, normaliseEntityName(item.name), `concepts[${i}].name`, 'name');
  });

  course.concepts.forEach((item, i) => {
    if (!groups.has(item.group)) problems.push(`concepts[${i}].group: no group has this id`);
    for (const list of ['prerequisites', 'relations'] as const) {
      const targets = new Map<string, string>();
      item[list].forEach((reference, j) => {
        const path = `concepts[${i}].${list}[${j}].concept`;
        if (!ids.has(reference.concept)) problems.push(`${path}: no concept has this id`);
        else if (reference.concept === item.id) problems.push(`${path}: a concept cannot refer to itself`);
        const type = 'type' in reference ? `${reference.type} ` : '';
        unique(targets, `${type}${reference.concept}`, path, 'reference');
      });
    }
  });
  if (problems.length === 0) {
    const cycle = findCycle(course);
    if (cycle) problems.push(`concepts: prerequisites form a cycle: ${cycle.join(' → ')}`);
  }
  return problems;
}

/** Ids along a prerequisite cycle, first repeated last. */
function findCycle(course: Course): string[] | undefined {
  const prerequisites = new Map(
    course.concepts.map((item) => [item.id, item.prerequisites.map((edge) => edge.concept)]),
  );
  const done = new Set<string>();
  for (const root of prerequisites.keys()) {
    const path = [root];
    const next = [0];
    const onPath = new Set(path);
    while (path.length > 0 && !done.has(root)) {
      const id = path.at(-1)!;
      const at = next[next.length - 1]!++;
      const required = prerequisites.get(id)![at];
      if (required === undefined) {
        done.add(id);
        onPath.delete(id);
        path.pop();
        next.pop();
      } else if (onPath.has(required)) {
        return [...path.slice(path.indexOf(required)), required];
      } else if (!done.has(required)) {
        path.push(required);
        next.push(0);
        onPath.add(required);
      }
    }
  }
  return undefined;
}
