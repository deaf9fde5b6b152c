import type { SystemFiles } from '../../ports/system-files.port.js';

/** CPU limit of a control group and what its processes have used so far. */
export interface CgroupCpu {
  readonly cores: number;
  readonly usedSeconds: number;
  /** How long its tasks were held back by the limit so far. */
  readonly throttledSeconds: number;
}

/** Memory limit of a control group and what its processes hold. */
export interface CgroupMemory {
  readonly limitBytes: number;
  /** Without file pages the kernel can drop at once, as Kubernetes counts the working set. */
  readonly usedBytes: number;
}

/** What else the kernel does to a control group for its use of memory. */
export interface CgroupMemoryPressure {
  /** Lowest `memory.high` of the group and those around it, from which on its tasks are slowed down. */
  readonly highBytes: number | undefined;
  /** Processes of the group that were killed for lack of memory so far. */
  readonly oomKills: number | undefined;
}

const ROOT = '/sys/fs/cgroup';

/**
 * The tightest CPU limit on this process among its control group and the groups around it, cgroup v2 or v1;
 * `undefined` without one. See the kernel's `cgroup-v2.rst` and `sched-bwc.rst`.
 */
export async function readCgroupCpu(files: SystemFiles): Promise<CgroupCpu | undefined> {
  const found: CgroupCpu[] = [];
  const { v2, v1 } = await readMembership(files);
  for (const folder of ancestors(v2)) {
    const [quota, period] = words(await files.read(`${ROOT}${folder}/cpu.max`));
    const stat = await files.read(`${ROOT}${folder}/cpu.stat`);
    const used = keyed(stat, 'usage_usec');
    const cores = Number(quota) / Number(period);
    const throttled = keyed(stat, 'throttled_usec') ?? 0;
    if (cores > 0 && used !== undefined)
      found.push({ cores, usedSeconds: used / 1e6, throttledSeconds: throttled / 1e6 });
  }
  for (const folder of ancestors(v1.get('cpu'))) {
    const quota = number(await files.read(`${ROOT}/cpu${folder}/cpu.cfs_quota_us`));
    const period = number(await files.read(`${ROOT}/cpu${folder}/cpu.cfs_period_us`));
    const used = number(await files.read(`${ROOT}/cpuacct${folder}/cpuacct.usage`));
    const cores = (quota ?? 0) / (period ?? 0);
    const throttled = keyed(await files.read(`${ROOT}/cpu${folder}/cpu.stat`), 'throttled_time') ?? 0;
    if (cores > 0 && used !== undefined)
      found.push({ cores, usedSeconds: used / 1e9, throttledSeconds: throttled / 1e9 });
  }
  return tightest(found, ({ cores }) => cores);
}

/** The tightest memory limit below `hostBytes` on this process; `undefined` without one. */
export async function readCgroupMemory(
  files: SystemFiles,
  hostBytes: number,
): Promise<CgroupMemory | undefined> {
  const found: CgroupMemory[] = [];
  const { v2, v1 } = await readMembership(files);
  const read = async (folder: string, limit: string, used: string, cache: string) => {
    const limitBytes = number(await files.read(`${folder}/${limit}`));
    const heldBytes = number(await files.read(`${folder}/${used}`));
    if (limitBytes === undefined || heldBytes === undefined || limitBytes >= hostBytes) return;
    const droppable = keyed(await files.read(`${folder}/memory.stat`), cache) ?? 0;
    found.push({ limitBytes, usedBytes: Math.max(0, heldBytes - droppable) });
  };
  for (const folder of ancestors(v2))
    await read(`${ROOT}${folder}`, 'memory.max', 'memory.current', 'inactive_file');
  for (const folder of ancestors(v1.get('memory')))
    await read(
      `${ROOT}/memory${folder}`,
      'memory.limit_in_bytes',
      'memory.usage_in_bytes',
      'total_inactive_file',
    );
  return tightest(found, ({ limitBytes }) => limitBytes);
}

/** Where the group or its hierarchy does not say, a figure is `undefined`. */
export async function readMemoryPressure(files: SystemFiles): Promise<CgroupMemoryPressure> {
  const { v2, v1 } = await readMembership(files);
  const highs: number[] = [];
  for (const folder of ancestors(v2)) {
    const high = number(await files.read(`${ROOT}${folder}/memory.high`));
    if (high !== undefined) highs.push(high);
  }
  const counts = [
    ...ancestors(v2).map((folder) => `${ROOT}${folder}/memory.events`),
    ...ancestors(v1.get('memory')).map((folder) => `${ROOT}/memory${folder}/memory.oom_control`),
  ];
  let oomKills: number | undefined;
  for (const path of counts) oomKills ??= keyed(await files.read(path), 'oom_kill');
  return { highBytes: tightest(highs, (bytes) => bytes), oomKills };
}

interface Membership {
  /** Folder in the unified hierarchy. */
  readonly v2: string | undefined;
  /** Folder by controller. */
  readonly v1: ReadonlyMap<string, string>;
}

async function readMembership(files: SystemFiles): Promise<Membership> {
  let v2: string | undefined;
  const v1 = new Map<string, string>();
  for (const line of ((await files.read('/proc/self/cgroup')) ?? '').split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    if (controllers === '') v2 = path;
    else for (const controller of controllers.split(',')) v1.set(controller, path);
  }
  return { v2, v1 };
}

/**
 * `/a/b`, `/a` and the root as an empty string. Inside a container the path may be the host's, of which only the
 * root is visible.
 */
function ancestors(path: string | undefined): string[] {
  if (path === undefined) return [];
  const parts = path.split('/').filter((part) => part !== '' && part !== '..');
  return Array.from({ length: parts.length + 1 }, (_, dropped) =>
    parts
      .slice(0, parts.length - dropped)
      .map((part) => `/${part}`)
      .join(''),
  );
}

function tightest<Limit>(limits: readonly Limit[], of: (limit: Limit) => number): Limit | undefined {
  return limits.reduce<Limit | undefined>(
    (best, limit) => (best === undefined || of(limit) < of(best) ? limit : best),
    undefined,
  );
}

function words(text: string | undefined): string[] {
  return text?.trim().split(/\s+/) ?? [];
}

function number(text: string | undefined): number | undefined {
  const trimmed = text?.trim();
  return trimmed && /^-?\d+$/.test(trimmed) ? Number(trimmed) : undefined;
}

/** Value of a `key value` line. */
function keyed(text: string | undefined, key: string): number | undefined {
  const line = text?.split('\n').find((candidate) => candidate.startsWith(`${key} `));
  return number(line?.slice(key.length));
}
