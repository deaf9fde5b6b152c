import { BoundedLabel, OTHER } from './bounded-label.js';
import type { TopValues } from './top-values.js';

/** Why a value was counted under `other`. */
export type FoldReason = 'tenant' | 'label' | 'label_sets';

/** Longest label value, in UTF-16 units; a longer one is none that anybody meant. */
const LONGEST_VALUE = 200;
const TENANT = 'tenant';

/** The bounds that all metrics of a registry share: a label has the same values wherever it occurs. */
export class LabelBounds {
  private readonly labels = new Map<string, BoundedLabel>();
  private held = 0;

  /**
   * @param tenants ranks the values of the label `tenant`.
   * @param maxValues distinct values of every other label.
   * @param maxSets label sets of all metrics together.
   */
  constructor(
    readonly tenants: Pick<TopValues, 'fold'>,
    private readonly maxValues: number,
    readonly maxSets: number,
  ) {}

  /** Label sets held at this moment. */
  get sets(): number {
    return this.held;
  }

  get full(): boolean {
    return this.held >= this.maxSets;
  }

  /** @throws RangeError for what is no label value. */
  fold(label: string, value: string): string {
    if (typeof value !== 'string') throw new RangeError(`The label ${label} takes a string.`);
    if (value.length > LONGEST_VALUE) return OTHER;
    let bound = this.labels.get(label);
    if (!bound) {
      bound = new BoundedLabel(this.maxValues);
      this.labels.set(label, bound);
    }
    return bound.fold(value);
  }

  /** Accounts for label sets that are made, or with a negative number dropped. */
  hold(sets: number): void {
    this.held += sets;
  }
}

/** Label values of a series, in the metric's order; frozen, one object for the life of the series. */
export type SeriesLabels = Readonly<Record<string, string>>;

type Node<Cell> = Map<string, Node<Cell> | Cell>;

/** Cells that were taken out of a {@link SeriesTable} together. */
export interface WithdrawnSeries<Cell> {
  readonly cells: readonly Cell[];
  /** Puts the cells back, as they are. */
  restore(): void;
}

/**
 * The series of one metric: a cell per label set, found by one look-up per label. Values beyond the bounds of their
 * label share the cells of `other`; once there are too many label sets, new ones share the one whose labels are
 * all `other`.
 */
export class SeriesTable<Cell extends object> {
  private root: Node<Cell> | Cell | undefined;
  private readonly tenantAt: number;
  private size = 0;

  /** @param folded is called for each look-up that ends in a cell of `other` because of a bound. */
  constructor(
    private readonly labelNames: readonly string[],
    private readonly bounds: LabelBounds,
    private readonly makeCell: (labels: SeriesLabels) => Cell,
    private readonly folded: (reason: FoldReason) => void,
  ) {
    this.tenantAt = labelNames.indexOf(TENANT);
    // Whoever is withdrawn is cut off at the root.
    if (this.tenantAt > 0) throw new TypeError('tenant is the first label or none');
  }

  /** @throws RangeError when a label is missing. */
  cellOf(labels: SeriesLabels): Cell {
    const { labelNames } = this;
    let node = this.root as Node<Cell> | undefined;
    let tenant: string | undefined;
    let at = 0;
    if (this.tenantAt === 0) {
      tenant = this.foldTenant(labels[TENANT]!);
      node = node?.get(tenant) as Node<Cell> | undefined;
      at = 1;
    }
    for (; at < labelNames.length; at++) node = node?.get(labels[labelNames[at]!]!) as Node<Cell> | undefined;
    return (node as Cell | undefined) ?? this.resolve(labels, tenant);
  }

  /** The table's cells. */
  *cells(): IterableIterator<Cell> {
    if (this.root !== undefined) yield* cellsUnder(this.root, this.labelNames.length);
  }

  /** Takes out the series of a tenant; `undefined` when it has none here. */
  withdraw(tenant: string): WithdrawnSeries<Cell> | undefined {
    const branch = this.tenantAt === 0 ? this.branches().get(tenant) : undefined;
    if (branch === undefined) return undefined;
    const cells = [...cellsUnder(branch, this.labelNames.length - 1)];
    this.branches().delete(tenant);
    this.hold(-cells.length);
    return {
      cells,
      restore: () => {
        this.branches().set(tenant, branch);
        this.hold(cells.length);
      },
    };
  }

  clear(): void {
    this.root = undefined;
    this.hold(-this.size);
  }

  private branches(): Node<Cell> {
    this.root ??= new Map();
    return this.root as Node<Cell>;
  }

  private hold(sets: number): void {
    this.size += sets;
    this.bounds.hold(sets);
  }

  private foldTenant(value: string): string {
    if (typeof value !== 'string') throw new RangeError('The label tenant takes a string.');
    const own = this.bounds.tenants.fold(value);
    if (own !== value) this.folded('tenant');
    return own;
  }

  /** Finds or makes the cell of labels of which at least one has not been seen with those before it. */
  private resolve(labels: SeriesLabels, tenant: string | undefined): Cell {
    let beyond = false;
    const values = this.labelNames.map((name, at) => {
      if (at === this.tenantAt && tenant !== undefined) return tenant;
      const value = labels[name]!;
      const own = this.bounds.fold(name, value);
      beyond ||= own !== value;
      return own;
    });
    if (beyond) this.folded('label');
    const found = this.find(values);
    if (found !== undefined) return found;
    if (!this.bounds.full) return this.make(values);
    this.folded('label_sets');
    const rest = values.map(() => OTHER);
    return this.find(rest) ?? this.make(rest);
  }

  private find(values: readonly string[]): Cell | undefined {
    let node = this.root;
    for (const value of values) node = (node as Node<Cell> | undefined)?.get(value);
    return node as Cell | undefined;
  }

  private make(values: readonly string[]): Cell {
    const labels: Record<string, string> = {};
    for (const [at, name] of this.labelNames.entries()) labels[name] = values[at]!;
    const cell = this.makeCell(Object.freeze(labels));
    this.hold(1);
    const last = values.at(-1);
    if (last === undefined) {
      this.root = cell;
      return cell;
    }
    let node = this.branches();
    for (const value of values.slice(0, -1)) {
      let next = node.get(value) as Node<Cell> | undefined;
      if (next === undefined) {
        next = new Map();
        node.set(value, next);
      }
      node = next;
    }
    node.set(last, cell);
    return cell;
  }
}

function* cellsUnder<Cell extends object>(node: Node<Cell> | Cell, depth: number): IterableIterator<Cell> {
  if (depth === 0) yield node as Cell;
  else for (const next of (node as Node<Cell>).values()) yield* cellsUnder(next, depth - 1);
}
