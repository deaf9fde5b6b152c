import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

const COURSE = new URL('../course/', import.meta.url);

const courseSchema = z.strictObject({
  id: z.string(),
  title: z.string(),
  version: z.string(),
  groups: z.array(
    z.strictObject({ id: z.string(), title: z.string(), titleZh: z.string(), page: z.string() }),
  ),
  concepts: z.array(
    z.strictObject({
      id: z.string(),
      name: z.string(),
      nameZh: z.string(),
      aliases: z.array(z.string()).default([]),
      group: z.string(),
      difficulty: z.int().min(1).max(5),
      hours: z.number().min(1).max(30),
      summary: z.string().min(20),
      prerequisites: z.array(
        z.strictObject({
          concept: z.string(),
          reason: z.string().regex(/^[A-Z].*[.]$/),
          confidence: z.number().min(0).max(1).default(1),
        }),
      ),
      resources: z
        .array(
          z.strictObject({
            title: z.string(),
            kind: z.enum(['book', 'paper', 'course']),
            url: z.url().optional(),
          }),
        )
        .min(1),
      relations: z
        .array(
          z.strictObject({
            type: z.enum(['is_a', 'part_of', 'uses', 'contrasts_with']),
            concept: z.string(),
            reason: z.string().regex(/^[A-Z].*[.]$/),
          }),
        )
        .default([]),
    }),
  ),
});

const course = courseSchema.parse(JSON.parse(readFileSync(new URL('course.json', COURSE), 'utf8')));
const conceptById = new Map(course.concepts.map((concept) => [concept.id, concept]));
const pages = new Map(
  course.groups.map((group) => [group.id, readFileSync(new URL(`pages/${group.page}`, COURSE), 'utf8')]),
);

type Concept = (typeof course.concepts)[number];

/** The text below the concept's own heading on its group's page. */
function sectionOf(concept: Concept): string {
  const page = pages.get(concept.group) ?? '';
  const section = page.split(/^## /m).find((part) => part.startsWith(`${concept.name}\n`));
  return section?.slice(concept.name.length).trim() ?? '';
}

function mentions(text: string, concept: Concept): boolean {
  const lower = text.toLowerCase();
  return [concept.name, ...concept.aliases].some((name) => lower.includes(name.toLowerCase()));
}

/** Ids in an order in which every concept follows its prerequisites; shorter than the course on a cycle. */
function learningOrder(): string[] {
  const order: string[] = [];
  const ordered = new Set<string>();
  for (let grown = true; grown; ) {
    const next = course.concepts.filter(
      ({ id, prerequisites }) =>
        !ordered.has(id) && prerequisites.every((prerequisite) => ordered.has(prerequisite.concept)),
    );
    for (const { id } of next) {
      order.push(id);
      ordered.add(id);
    }
    grown = next.length > 0;
  }
  return order;
}

/** Everything that a concept builds on along prerequisites that learning paths follow. */
function foundationsOf(id: string, found = new Set<string>()): Set<string> {
  for (const { concept, confidence } of conceptById.get(id)?.prerequisites ?? []) {
    if (confidence < 0.8 || found.has(concept)) continue;
    found.add(concept);
    foundationsOf(concept, found);
  }
  return found;
}

describe('the sample course', () => {
  it('gives every concept and group its own id, and every concept its own names in both languages', () => {
    expect(conceptById.size).toBe(course.concepts.length);
    expect(pages.size).toBe(course.groups.length);
    // Names that differ in case alone would be one entity of the graph.
    const own = course.concepts.flatMap((concept) => [
      ...new Set([concept.name, concept.nameZh, ...concept.aliases].map((name) => name.toLowerCase())),
    ]);
    expect(new Set(own).size).toBe(own.length);
    for (const { nameZh } of course.concepts) expect(nameZh).toMatch(/\p{Script=Han}/u);
  });

  it('refers only to groups and concepts that exist, and never to the concept itself', () => {
    for (const concept of course.concepts) {
      expect(pages.has(concept.group), concept.id).toBe(true);
      for (const { concept: target } of [...concept.prerequisites, ...concept.relations]) {
        expect(conceptById.has(target), `${concept.id} → ${target}`).toBe(true);
        expect(target).not.toBe(concept.id);
      }
    }
  });

  it('can be learned in some order, for its prerequisites form no cycle', () => {
    expect(learningOrder()).toHaveLength(course.concepts.length);
  });

  it('leads from supervised learning through neural networks to deep learning', () => {
    const needs = (id: string) => conceptById.get(id)?.prerequisites.map(({ concept }) => concept);
    expect(needs('neural-network')).toContain('supervised-learning');
    expect(needs('deep-learning')).toContain('neural-network');
    const foundations = foundationsOf('deep-learning');
    for (const step of [
      'supervised-learning',
      'perceptron',
      'neural-network',
      'backpropagation',
      'gradient-descent',
    ])
      expect(foundations).toContain(step);
    expect(foundationsOf('large-language-model')).toContain('deep-learning');
  });

  it('defines each concept under its own heading, with the Chinese title in its first sentence', () => {
    for (const concept of course.concepts) {
      const first = sectionOf(concept).split(/(?<=\.)\s/)[0] ?? '';
      expect(first, concept.id).toContain(`(${concept.nameZh})`);
      expect(first, concept.id).toMatch(/ (?:is|are) /);
    }
  });

  it('states every prerequisite of a concept in the concept’s own text', () => {
    for (const concept of course.concepts)
      for (const { concept: id } of concept.prerequisites)
        expect(mentions(sectionOf(concept), conceptById.get(id)!), `${concept.id} ← ${id}`).toBe(true);
  });

  it('has exactly one page of 400 to 700 words per group', () => {
    expect(readdirSync(new URL('pages/', COURSE)).sort()).toEqual(
      course.groups.map(({ page }) => page).sort(),
    );
    for (const group of course.groups) {
      const page = pages.get(group.id)!;
      expect(page.startsWith(`# ${group.title}\n`), group.id).toBe(true);
      const words = page.split(/\s+/).length;
      expect(words, group.id).toBeGreaterThanOrEqual(400);
      expect(words, group.id).toBeLessThanOrEqual(700);
    }
  });

  it('gives its links as whole web addresses', () => {
    const urls = course.concepts.flatMap(({ resources }) => resources.flatMap(({ url }) => url ?? []));
    expect(urls.length).toBeGreaterThan(0);
    for (const url of urls) expect(['http:', 'https:']).toContain(new URL(url).protocol);
  });
});
