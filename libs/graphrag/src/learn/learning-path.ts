/** A concept that can be learned. */
export interface LearnableNode {
  readonly id: string;
  readonly name: string;
  /** Estimated study time; unknown when missing. */
  readonly hours?: number | undefined;
  /** 1 (easy) to 5 (hard). */
  readonly difficulty?: number | undefined;
  readonly summary?: string | undefined;
  readonly resources: readonly LearningResource[];
}

export interface LearningResource {
  readonly title: string;
  readonly kind: string;
  readonly url?: string | undefined;
}

/** `sourceId` must be known before `targetId`. */
export interface PrerequisiteEdge {
  readonly sourceId: string;
  readonly targetId: string;
  /** In `[0, 1]`. */
  readonly confidence: number;
  readonly reason?: string | undefined;
  /** Edges into one target that share a group are ways of getting there: any one of them suffices. */
  readonly alternativeGroup?: string | undefined;
}

export interface PrerequisiteGraph {
  readonly nodes: ReadonlyMap<string, LearnableNode>;
  readonly edges: readonly PrerequisiteEdge[];
}

/** Why a step is on the path: `forId` needs it. */
export interface StepReason {
  readonly forId: string;
  readonly forName: string;
  readonly confidence: number;
  readonly reason?: string | undefined;
}

export interface LearningStep {
  /** From 1. */
  readonly position: number;
  readonly nodeId: string;
  readonly name: string;
  readonly summary?: string | undefined;
  readonly hours?: number | undefined;
  readonly difficulty?: number | undefined;
  readonly resources: readonly LearningResource[];
  /** The later steps that need this one; empty for the target. */
  readonly neededFor: readonly StepReason[];
}

/** An edge left out because it closes a cycle: the weakest of its strongly connected part. */
export interface BrokenEdge {
  readonly sourceId: string;
  readonly source: string;
  readonly targetId: string;
  readonly target: string;
  readonly confidence: number;
}

/** A choice the path made, and what it could have taken instead. */
export interface LearningAlternative {
  readonly forId: string;
  readonly forName: string;
  readonly group: string;
  readonly chosen: { readonly id: string; readonly name: string };
  /** Other members of the group; `extraHours` compares the whole path with the chosen one's. */
  readonly others: readonly { readonly id: string; readonly name: string; readonly extraHours: number }[];
}

export interface LearningPath {
  readonly target: { readonly id: string; readonly name: string };
  /** Every prerequisite before what needs it; the target last. Empty when the target is mastered. */
  readonly steps: readonly LearningStep[];
  readonly alreadyMastered: readonly { readonly id: string; readonly name: string }[];
  readonly alternatives: readonly LearningAlternative[];
  readonly brokenEdges: readonly BrokenEdge[];
  readonly totals: {
    readonly steps: number;
    /** Sum over the steps whose hours are known. */
    readonly hours: number;
    /** Steps whose hours are not known. */
    readonly unknownHours: number;
    /** Highest difficulty on the way. */
    readonly difficulty?: number | undefined;
  };
}

export interface PlanOptions {
  /** Edges below are ignored. Default 0.8. */
  readonly minConfidence?: number;
}

/** Choices tried exhaustively before the planner turns greedy. */
const EXHAUSTIVE_PLANS = 512;
/** What a step of unknown length counts when ways are compared. */
const ASSUMED_HOURS = 1;

/**
 * Orders what a learner must learn to reach `targetId`: the prerequisites, transitively, that are not mastered,
 * and nothing else. Mastered concepts end the search: whoever has mastered one is not sent back to its
 * prerequisites.
 *
 * Where a target's edges form an alternative group, the way with the fewest hours is chosen: by trying all
 * combinations while there are few, and one group at a time beyond that. Cycles are broken one at a time by
 * leaving out the weakest edge of a strongly connected component (Tarjan 1972). The order is Kahn's (1962)
 * with the easiest, then shortest, then alphabetically first of the ready steps taken next.
 */
export function planLearningPath(
  graph: PrerequisiteGraph,
  targetId: string,
  mastered: ReadonlySet<string>,
  options: PlanOptions = {},
): LearningPath {
  const planner = new Planner(graph, targetId, mastered, options.minConfidence ?? 0.8);
  return planner.plan();
}

/** Needed concepts and edges under one set of choices. */
interface Closure {
  readonly needed: ReadonlySet<string>;
  readonly edges: readonly PrerequisiteEdge[];
  readonly masteredMet: ReadonlySet<string>;
  readonly broken: readonly PrerequisiteEdge[];
  /** Groups that offered a choice: group key to chosen source. */
  readonly chosen: ReadonlyMap<string, string>;
  readonly hours: number;
}

class Planner {
  private readonly incoming = new Map<string, PrerequisiteEdge[]>();
  private budget = EXHAUSTIVE_PLANS;

  constructor(
    private readonly graph: PrerequisiteGraph,
    private readonly targetId: string,
    private readonly mastered: ReadonlySet<string>,
    minConfidence: number,
  ) {
    const strongest = new Map<string, PrerequisiteEdge>();
    for (const edge of graph.edges) {
      if (edge.confidence < minConfidence || edge.sourceId === edge.targetId) continue;
      if (!graph.nodes.has(edge.sourceId) || !graph.nodes.has(edge.targetId)) continue;
      const pair = `${edge.sourceId} ${edge.targetId}`;
      const known = strongest.get(pair);
      if (!known || edge.confidence > known.confidence) strongest.set(pair, edge);
    }
    for (const edge of [...strongest.values()].sort(byEnds)) {
      const list = this.incoming.get(edge.targetId);
      if (list) list.push(edge);
      else this.incoming.set(edge.targetId, [edge]);
    }
  }

  plan(): LearningPath {
    const target = this.node(this.targetId);
    if (this.mastered.has(this.targetId)) {
      return {
        target: { id: target.id, name: target.name },
        steps: [],
        alreadyMastered: [{ id: target.id, name: target.name }],
        alternatives: [],
        brokenEdges: [],
        totals: { steps: 0, hours: 0, unknownHours: 0 },
      };
    }
    const best = this.cheapest(new Map());
    const steps = this.steps(best);
    const difficulties = steps.flatMap((step) => (step.difficulty === undefined ? [] : [step.difficulty]));
    return {
      target: { id: target.id, name: target.name },
      steps,
      alreadyMastered: [...best.masteredMet]
        .map((id) => this.named(id))
        .sort((a, b) => compare(a.name, b.name)),
      alternatives: this.alternatives(best),
      brokenEdges: best.broken.map((edge) => ({
        sourceId: edge.sourceId,
        source: this.node(edge.sourceId).name,
        targetId: edge.targetId,
        target: this.node(edge.targetId).name,
        confidence: edge.confidence,
      })),
      totals: {
        steps: steps.length,
        hours: sum(steps.map((step) => step.hours ?? 0)),
        unknownHours: steps.filter((step) => step.hours === undefined).length,
        ...(difficulties.length > 0 ? { difficulty: Math.max(...difficulties) } : {}),
      },
    };
  }

  /** The cheapest closure that respects the choices made so far. */
  private cheapest(choices: ReadonlyMap<string, string>): Closure {
    const open = this.firstOpenGroup(choices);
    if (!open) return this.closure(choices);
    let best: Closure | undefined;
    let bestSource: string | undefined;
    const exhaustive = this.budget > 0;
    for (const member of open.members) {
      this.budget -= 1;
      const tried = new Map(choices).set(open.key, member.sourceId);
      // Beyond the budget a group is decided by what its members cost with every later group at its first member.
      const closure = exhaustive ? this.cheapest(tried) : this.closure(tried);
      if (!best || closure.hours < best.hours) {
        best = closure;
        bestSource = member.sourceId;
      }
    }
    return exhaustive ? best! : this.cheapest(new Map(choices).set(open.key, bestSource!));
  }

  /** The first group met on the way from the target that no choice decides. */
  private firstOpenGroup(
    choices: ReadonlyMap<string, string>,
  ): { key: string; members: PrerequisiteEdge[] } | undefined {
    const seen = new Set([this.targetId]);
    const queue = [this.targetId];
    for (let id = queue.shift(); id !== undefined; id = queue.shift()) {
      for (const [key, members] of this.groupsOf(id)) {
        if (!choices.has(key) && !members.some((edge) => this.mastered.has(edge.sourceId)))
          return { key, members };
      }
      for (const edge of this.requirements(id, choices)) {
        if (this.mastered.has(edge.sourceId) || seen.has(edge.sourceId)) continue;
        seen.add(edge.sourceId);
        queue.push(edge.sourceId);
      }
    }
    return undefined;
  }

  /** Alternative groups of two or more into `id`. A group of one is an ordinary edge. */
  private groupsOf(id: string): Map<string, PrerequisiteEdge[]> {
    const groups = new Map<string, PrerequisiteEdge[]>();
    for (const edge of this.incoming.get(id) ?? []) {
      if (edge.alternativeGroup === undefined) continue;
      const key = `${id} ${edge.alternativeGroup}`;
      groups.set(key, [...(groups.get(key) ?? []), edge]);
    }
    for (const [key, members] of groups) if (members.length < 2) groups.delete(key);
    return groups;
  }

  /** Edges into `id` that the path follows: all ordinary ones, and of each group the chosen or mastered member. */
  private requirements(id: string, choices: ReadonlyMap<string, string>): PrerequisiteEdge[] {
    const groups = this.groupsOf(id);
    return (this.incoming.get(id) ?? []).filter((edge) => {
      const key = `${id} ${edge.alternativeGroup}`;
      const members = edge.alternativeGroup === undefined ? undefined : groups.get(key);
      if (!members) return true;
      const satisfied = members.find((member) => this.mastered.has(member.sourceId));
      const wanted = satisfied?.sourceId ?? choices.get(key) ?? members[0]!.sourceId;
      return edge.sourceId === wanted;
    });
  }

  private closure(choices: ReadonlyMap<string, string>): Closure {
    const broken: PrerequisiteEdge[] = [];
    for (;;) {
      const needed = new Set([this.targetId]);
      const masteredMet = new Set<string>();
      const edges: PrerequisiteEdge[] = [];
      for (const id of needed) {
        for (const edge of this.requirements(id, choices)) {
          if (broken.includes(edge)) continue;
          if (this.mastered.has(edge.sourceId)) {
            masteredMet.add(edge.sourceId);
            continue;
          }
          needed.add(edge.sourceId);
          edges.push(edge);
        }
      }
      const weakest = weakestCyclicEdge(needed, edges);
      if (weakest) {
        broken.push(weakest);
        continue;
      }
      const chosen = new Map([...choices].filter(([key]) => needed.has(key.slice(0, key.indexOf(' ')))));
      return {
        needed,
        edges,
        masteredMet,
        broken,
        chosen,
        hours: sum([...needed].map((id) => this.node(id).hours ?? ASSUMED_HOURS)),
      };
    }
  }

  private steps(closure: Closure): LearningStep[] {
    const missing = new Map<string, number>([...closure.needed].map((id) => [id, 0]));
    const unlocks = new Map<string, PrerequisiteEdge[]>();
    for (const edge of closure.edges) {
      missing.set(edge.targetId, missing.get(edge.targetId)! + 1);
      unlocks.set(edge.sourceId, [...(unlocks.get(edge.sourceId) ?? []), edge]);
    }
    const ready = [...closure.needed].filter((id) => missing.get(id) === 0).map((id) => this.node(id));
    const order: LearnableNode[] = [];
    while (ready.length > 0) {
      ready.sort(easierFirst);
      const next = ready.shift()!;
      order.push(next);
      for (const edge of unlocks.get(next.id) ?? []) {
        const left = missing.get(edge.targetId)! - 1;
        missing.set(edge.targetId, left);
        if (left === 0) ready.push(this.node(edge.targetId));
      }
    }
    const positions = new Map(order.map((node, index) => [node.id, index + 1]));
    return order.map((node, index) => ({
      position: index + 1,
      nodeId: node.id,
      name: node.name,
      summary: node.summary,
      hours: node.hours,
      difficulty: node.difficulty,
      resources: node.resources,
      neededFor: (unlocks.get(node.id) ?? [])
        .toSorted((a, b) => positions.get(a.targetId)! - positions.get(b.targetId)!)
        .map((edge) => ({
          forId: edge.targetId,
          forName: this.node(edge.targetId).name,
          confidence: edge.confidence,
          reason: edge.reason,
        })),
    }));
  }

  private alternatives(best: Closure): LearningAlternative[] {
    return [...best.chosen].map(([key, chosenId]) => {
      const forId = key.slice(0, key.indexOf(' '));
      const members = this.groupsOf(forId).get(key)!;
      return {
        forId,
        forName: this.node(forId).name,
        group: key.slice(key.indexOf(' ') + 1),
        chosen: this.named(chosenId),
        others: members
          .filter((edge) => edge.sourceId !== chosenId)
          .map((edge) => ({
            ...this.named(edge.sourceId),
            extraHours: this.closure(new Map(best.chosen).set(key, edge.sourceId)).hours - best.hours,
          })),
      };
    });
  }

  private named(id: string): { id: string; name: string } {
    return { id, name: this.node(id).name };
  }

  private node(id: string): LearnableNode {
    const node = this.graph.nodes.get(id);
    if (!node) throw new RangeError('The prerequisite graph lacks the target or an end of one of its edges.');
    return node;
  }
}

/** The weakest edge inside any strongly connected component of two or more; `undefined` when acyclic. */
function weakestCyclicEdge(
  nodes: ReadonlySet<string>,
  edges: readonly PrerequisiteEdge[],
): PrerequisiteEdge | undefined {
  const component = stronglyConnected(nodes, edges);
  let weakest: PrerequisiteEdge | undefined;
  for (const edge of edges) {
    if (component.get(edge.sourceId) !== component.get(edge.targetId)) continue;
    if (
      !weakest ||
      edge.confidence < weakest.confidence ||
      (edge.confidence === weakest.confidence && byEnds(edge, weakest) < 0)
    )
      weakest = edge;
  }
  return weakest;
}

/** Tarjan's algorithm with an explicit stack: a chain of thousands of prerequisites must not overflow it. */
function stronglyConnected(
  nodes: ReadonlySet<string>,
  edges: readonly PrerequisiteEdge[],
): Map<string, number> {
  const successors = new Map<string, string[]>([...nodes].map((id) => [id, []]));
  for (const edge of edges) successors.get(edge.sourceId)!.push(edge.targetId);
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const component = new Map<string, number>();
  const open: string[] = [];
  let components = 0;
  for (const root of nodes) {
    if (index.has(root)) continue;
    const frames: { id: string; next: number }[] = [{ id: root, next: 0 }];
    while (frames.length > 0) {
      const frame = frames.at(-1)!;
      const { id } = frame;
      if (frame.next === 0) {
        index.set(id, index.size);
        low.set(id, index.get(id)!);
        open.push(id);
      }
      const successor = successors.get(id)![frame.next];
      frame.next += 1;
      if (successor !== undefined) {
        if (!index.has(successor)) frames.push({ id: successor, next: 0 });
        else if (!component.has(successor)) low.set(id, Math.min(low.get(id)!, index.get(successor)!));
        continue;
      }
      frames.pop();
      const parent = frames.at(-1);
      if (parent) low.set(parent.id, Math.min(low.get(parent.id)!, low.get(id)!));
      if (low.get(id) !== index.get(id)) continue;
      for (let member = open.pop()!; ; member = open.pop()!) {
        component.set(member, components);
        if (member === id) break;
      }
      components += 1;
    }
  }
  return component;
}

function easierFirst(a: LearnableNode, b: LearnableNode): number {
  return (
    (a.difficulty ?? 3) - (b.difficulty ?? 3) ||
    (a.hours ?? ASSUMED_HOURS) - (b.hours ?? ASSUMED_HOURS) ||
    compare(a.name, b.name) ||
    compare(a.id, b.id)
  );
}

function byEnds(a: PrerequisiteEdge, b: PrerequisiteEdge): number {
  return compare(a.sourceId, b.sourceId) || compare(a.targetId, b.targetId);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, value) => total + value, 0);
}
