import { countTokens } from '@sparkle/llm';
import type { ChunkDraft } from '../model.js';
import type { ResolvableEntity, ResolvableRelation } from '../resolve/resolve-entities.js';
import { type Course, type CourseConcept, parseCourse } from './course.schema.js';

/** What one passage of an outline states. */
export interface OutlineExtraction {
  readonly entities: readonly ResolvableEntity[];
  readonly relations: readonly ResolvableRelation[];
}

/** The course whose outline a document is; `undefined` for any other document. */
export function courseOf(attributes: Readonly<Record<string, unknown>>): Course | undefined {
  return attributes.courseRole === 'outline' ? parseCourse(attributes.course) : undefined;
}

/**
 * The course's structure as a Markdown document. It is what the graph's course edges cite: each concept is one
 * passage that names its prerequisites and why they are needed.
 */
export function outlineText(course: Course): string {
  return `${head(course)}${sections(course)
    .map((section) => section.text)
    .join('')}`;
}

/** The outline's passages, one per concept in the order of {@link orderedConcepts}. */
export function outlineChunks(course: Course): ChunkDraft[] {
  let start = head(course).length;
  return sections(course).map((section, ordinal) => {
    const text = section.text.trim();
    const draft = {
      ordinal,
      headings: [course.title, section.group],
      text,
      start,
      end: start + text.length,
      tokens: countTokens(text),
    };
    start += section.text.length;
    return draft;
  });
}

/** What each passage of {@link outlineChunks} states. */
export function outlineExtractions(course: Course): OutlineExtraction[] {
  const entities = new Map(course.concepts.map((concept) => [concept.id, toEntity(course, concept)]));
  return orderedConcepts(course).map((concept) => {
    const own = entities.get(concept.id)!;
    const mentioned = [...concept.prerequisites, ...concept.relations].map(
      (reference) => entities.get(reference.concept)!,
    );
    return {
      entities: [own, ...new Set(mentioned)].map((entity) => ({
        ...entity,
        mentions: entity === own ? 4 : 1,
      })),
      relations: [
        ...concept.prerequisites.map((edge) => ({
          source: entities.get(edge.concept)!.name,
          target: concept.name,
          type: 'prerequisite_of',
          statement: prerequisiteSentence(course, concept, edge),
          confidence: edge.confidence,
          attributes: {
            reason: edge.reason,
            ...(edge.alternativeGroup ? { alternative_group: edge.alternativeGroup } : {}),
          },
        })),
        ...concept.relations.map((edge) => ({
          source: concept.name,
          target: entities.get(edge.concept)!.name,
          type: edge.type,
          statement: relationSentence(course, concept, edge),
          confidence: 1,
          attributes: { reason: edge.reason },
        })),
      ],
    };
  });
}

/** Concepts by group, each group in the file's order. */
export function orderedConcepts(course: Course): CourseConcept[] {
  return course.groups.flatMap((group) => course.concepts.filter((concept) => concept.group === group.id));
}

function head(course: Course): string {
  return `# ${course.title}\n\nCourse outline, version ${course.version}.\n\n`;
}

function sections(course: Course): { group: string; text: string }[] {
  const groups = new Map(course.groups.map((group) => [group.id, group]));
  return orderedConcepts(course).map((concept) => {
    const group = groups.get(concept.group)!;
    const lines = [
      `## ${bilingual(concept.name, concept.nameZh)}`,
      '',
      concept.summary,
      '',
      ...(concept.aliases.length > 0 ? [`Also called: ${concept.aliases.join(', ')}.`] : []),
      `${effort(concept)}Part of ${bilingual(group.title, group.titleZh)}.`,
      ...concept.prerequisites.map((edge) => prerequisiteSentence(course, concept, edge)),
      ...concept.relations.map((edge) => relationSentence(course, concept, edge)),
    ];
    return { group: group.title, text: `${lines.join('\n')}\n\n` };
  });
}

/** A name with its Chinese form, if it has one. */
export function bilingual(name: string, nameZh: string | undefined): string {
  return nameZh === undefined ? name : `${name} (${nameZh})`;
}

function effort({ difficulty, hours }: CourseConcept): string {
  const known = [
    ...(difficulty === undefined ? [] : [`difficulty ${difficulty} of 5`]),
    ...(hours === undefined ? [] : [`about ${hours} hours`]),
  ].join(', ');
  return known === '' ? '' : `${known[0]!.toUpperCase()}${known.slice(1)}. `;
}

function prerequisiteSentence(
  course: Course,
  concept: CourseConcept,
  edge: CourseConcept['prerequisites'][number],
): string {
  return sentence(`${nameOf(course, edge.concept)} is a prerequisite of ${concept.name}: ${edge.reason}`);
}

function relationSentence(
  course: Course,
  concept: CourseConcept,
  edge: CourseConcept['relations'][number],
): string {
  const verb = edge.type === 'is_a' ? 'belongs to' : edge.type.replaceAll('_', ' ');
  return sentence(`${concept.name} ${verb} ${nameOf(course, edge.concept)}: ${edge.reason}`);
}

function sentence(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return /[.!?。！？]$/.test(line) ? line : `${line}.`;
}

function nameOf(course: Course, id: string): string {
  return course.concepts.find((concept) => concept.id === id)!.name;
}

function toEntity(course: Course, concept: CourseConcept): ResolvableEntity {
  return {
    name: concept.name,
    type: 'concept',
    aliases: [...(concept.nameZh === undefined ? [] : [concept.nameZh]), ...concept.aliases],
    confidence: 1,
    description: concept.summary,
    attributes: {
      courseId: course.id,
      conceptId: concept.id,
      group: concept.group,
      ...(concept.nameZh !== undefined && { nameZh: concept.nameZh }),
      ...(concept.hours !== undefined && { hours: concept.hours }),
      ...(concept.difficulty !== undefined && { difficulty: concept.difficulty }),
      resources: concept.resources,
    },
  };
}
