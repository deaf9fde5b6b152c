import type { Profiler } from 'node:inspector';

/** A time during which the event loop never came to rest, so that nothing else of the process could run. */
export interface BusyStretch {
  /** From the start of the report. */
  readonly startedAtMs: number;
  readonly durationMs: number;
  /** What it was mostly busy with: the chain of calls that had more than half of the time, outermost first. */
  readonly hotPath: readonly string[];
  /** The ones with the most time of their own in it. */
  readonly hotFunctions: readonly HotFunction[];
}

/** One function and the time spent in it itself. */
export interface HotFunction {
  readonly name: string;
  readonly selfMs: number;
  /** Of the time in which the process was busy, in the stretch or altogether, 0 to 1. */
  readonly share: number;
}

export interface GcReport {
  readonly pauses: number;
  readonly totalMs: number;
  readonly longestMs: number;
  readonly msByKind: Readonly<Record<string, number>>;
}

/** What a process's event loop was like over some seconds. */
export interface EventLoopReport {
  readonly seconds: number;
  /** How much later than wanted a timer fires. */
  readonly delayMs: {
    readonly mean: number;
    readonly p50: number;
    readonly p90: number;
    readonly p99: number;
    readonly max: number;
  };
  /** Share of the time in which the loop was busy, 0 to 1. */
  readonly utilization: number;
  /** What keeps the process alive at the end, by kind: sockets, timers, requests under way. */
  readonly activeResources: Readonly<Record<string, number>>;
  readonly gc: GcReport;
  /** The longest ones, longest first. */
  readonly busyStretches: readonly BusyStretch[];
  /** The ones with the most time of their own. */
  readonly hotFunctions: readonly HotFunction[];
}

/** Stretches and functions in a report. */
const LISTED = 10;
/** Functions of one stretch. */
const LISTED_PER_STRETCH = 3;
/** Shorter ones delay nobody noticeably. */
const WORTH_LISTING_MS = 10;
const MAX_PATH = 30;
const MS = 1_000;

/** Longest stretches and hottest functions of a CPU profile. */
export function busyPartsOf(
  profile: Profiler.Profile,
): Pick<EventLoopReport, 'busyStretches' | 'hotFunctions'> {
  const frames = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map<number, number>();
  for (const node of profile.nodes) for (const child of node.children ?? []) parents.set(child, node.id);
  const isIdle = (id: number) => frames.get(id)?.callFrame.functionName === '(idle)';

  const self = new Map<number, number>();
  const stretches: { startMicros: number; micros: number; byNode: Map<number, number> }[] = [];
  let open: (typeof stretches)[number] | undefined;
  let at = 0;
  let busyMicros = 0;
  const samples = profile.samples ?? [];
  const deltas = profile.timeDeltas ?? [];
  for (const [index, id] of samples.entries()) {
    // A sample stands for the time until the next one.
    const micros = Math.max(0, deltas[index + 1] ?? 0);
    at += index === 0 ? Math.max(0, deltas[0] ?? 0) : 0;
    if (isIdle(id)) open = undefined;
    else {
      if (!open) {
        open = { startMicros: at, micros: 0, byNode: new Map() };
        stretches.push(open);
      }
      open.micros += micros;
      open.byNode.set(id, (open.byNode.get(id) ?? 0) + micros);
      busyMicros += micros;
      self.set(id, (self.get(id) ?? 0) + micros);
    }
    at += micros;
  }

  return {
    busyStretches: stretches
      .filter(({ micros }) => micros >= WORTH_LISTING_MS * MS)
      .sort((a, b) => b.micros - a.micros)
      .slice(0, LISTED)
      .map(({ startMicros, micros, byNode }) => ({
        startedAtMs: round(startMicros / MS),
        durationMs: round(micros / MS),
        hotPath: hotPathOf(byNode, micros, frames, parents),
        hotFunctions: hotFunctionsOf(byNode, micros, frames, LISTED_PER_STRETCH),
      })),
    hotFunctions: hotFunctionsOf(self, busyMicros, frames, LISTED),
  };
}

function hotFunctionsOf(
  byNode: ReadonlyMap<number, number>,
  busyMicros: number,
  frames: ReadonlyMap<number, Profiler.ProfileNode>,
  listed: number,
): HotFunction[] {
  const byName = new Map<string, number>();
  for (const [id, micros] of byNode) {
    const name = nameOf(frames.get(id));
    byName.set(name, (byName.get(name) ?? 0) + micros);
  }
  return [...byName]
    .sort(([, a], [, b]) => b - a)
    .slice(0, listed)
    .map(([name, micros]) => ({
      name,
      selfMs: round(micros / MS),
      share: busyMicros === 0 ? 0 : round(micros / busyMicros),
    }));
}

/** The chain of frames that each hold more than half of a stretch. */
function hotPathOf(
  byNode: ReadonlyMap<number, number>,
  micros: number,
  frames: ReadonlyMap<number, Profiler.ProfileNode>,
  parents: ReadonlyMap<number, number>,
): string[] {
  const totals = new Map<number, number>();
  for (const [leaf, own] of byNode)
    for (let id: number | undefined = leaf; id !== undefined; id = parents.get(id))
      totals.set(id, (totals.get(id) ?? 0) + own);
  // V8 may hold one function of one caller as several nodes.
  const hottest = (ids: readonly number[]) => {
    const byName = new Map<string, { ids: number[]; total: number }>();
    for (const id of ids) {
      const group = byName.get(nameOf(frames.get(id))) ?? { ids: [], total: 0 };
      byName.set(nameOf(frames.get(id)), group);
      group.ids.push(id);
      group.total += totals.get(id) ?? 0;
    }
    return [...byName].find(([, { total }]) => total > micros / 2);
  };
  const path: string[] = [];
  let level = [...totals.keys()].filter((id) => !parents.has(id));
  for (;;) {
    level = level.flatMap((id) => frames.get(id)?.children ?? []);
    const next = hottest(level);
    if (!next) return path.slice(-MAX_PATH);
    path.push(next[0]);
    level = next[1].ids;
  }
}

function nameOf(node: Profiler.ProfileNode | undefined): string {
  if (!node) return '(unknown)';
  const { functionName, url, lineNumber } = node.callFrame;
  return url ? `${functionName || '(anonymous)'} ${url}:${lineNumber + 1}` : functionName || '(anonymous)';
}

export function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
