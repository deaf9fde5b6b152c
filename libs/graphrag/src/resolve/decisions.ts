/** A decision in force: what documents mean by a node is another one. */
export interface Assignment {
  /** When it was taken: decisions follow each other in this order. */
  readonly number: number;
  readonly nodeId: string;
  /** The document it speaks of; `null` for all, also those to come. */
  readonly documentId: string | null;
  readonly targetId: string;
}

/**
 * What decisions make of a node. Each was taken about the graph that the earlier ones had made, so they apply in
 * order, each at most once: there are no circles to run in. Taking one out leaves the others with their meaning.
 */
export class Decisions {
  private readonly byNode = new Map<string, Assignment[]>();

  constructor(readonly assignments: readonly Assignment[]) {
    for (const assignment of [...assignments].sort((a, b) => a.number - b.number)) {
      const known = this.byNode.get(assignment.nodeId);
      if (known) known.push(assignment);
      else this.byNode.set(assignment.nodeId, [assignment]);
    }
  }

  /** The node that a document shows where ingestion found `nodeId`. */
  nodeOf(nodeId: string, documentId: string): string {
    let node = nodeId;
    let after = Number.NEGATIVE_INFINITY;
    for (;;) {
      const next = this.byNode
        .get(node)
        ?.find(
          (assignment) =>
            assignment.number > after &&
            (assignment.documentId === null || assignment.documentId === documentId),
        );
      if (!next) return node;
      node = next.targetId;
      after = next.number;
    }
  }

  /** The nodes that decisions connect with any of `nodeIds`, these included. */
  connected(nodeIds: Iterable<string>): Set<string> {
    const neighbours = new Map<string, string[]>();
    const connect = (from: string, to: string) => neighbours.set(from, [...(neighbours.get(from) ?? []), to]);
    for (const { nodeId, targetId } of this.assignments) {
      connect(nodeId, targetId);
      connect(targetId, nodeId);
    }
    const found = new Set(nodeIds);
    for (const node of found) for (const other of neighbours.get(node) ?? []) found.add(other);
    return found;
  }
}
