import { TestClock } from '@sparkle/contracts/testing';
import { describe, expect, it } from 'vitest';
import { FakeSystemFiles } from '../../testing/fake-system-files.js';
import { readCgroupCpu, readCgroupMemory, readMemoryPressure } from './cgroup.js';
import { ResourceMonitor } from './resource-monitor.js';

const GIB = 1024 ** 3;

describe('limits of a control group', () => {
  it('are read from cgroup v2, the tightest of the group and those around it', async () => {
    const files = new FakeSystemFiles({
      '/proc/self/cgroup': '0::/pods/api\n',
      '/sys/fs/cgroup/pods/api/cpu.max': 'max 100000\n',
      '/sys/fs/cgroup/pods/api/cpu.stat': 'usage_usec 999\nuser_usec 1\n',
      '/sys/fs/cgroup/pods/cpu.max': '150000 100000\n',
      '/sys/fs/cgroup/pods/cpu.stat': 'usage_usec 2500000\nuser_usec 1\nthrottled_usec 750000\n',
      '/sys/fs/cgroup/pods/api/memory.max': `${GIB}\n`,
      '/sys/fs/cgroup/pods/api/memory.current': `${GIB / 2}\n`,
      '/sys/fs/cgroup/pods/api/memory.stat': `anon 5\ninactive_file ${GIB / 4}\nactive_file 7\n`,
      '/sys/fs/cgroup/pods/api/memory.high': 'max\n',
      '/sys/fs/cgroup/pods/api/memory.events': 'low 0\nhigh 3\nmax 9\noom 2\noom_kill 1\n',
      '/sys/fs/cgroup/pods/memory.high': `${GIB / 2}\n`,
      '/sys/fs/cgroup/pods/memory.max': `${2 * GIB}\n`,
      '/sys/fs/cgroup/pods/memory.current': `${GIB}\n`,
    });
    expect(await readCgroupCpu(files)).toEqual({ cores: 1.5, usedSeconds: 2.5, throttledSeconds: 0.75 });
    expect(await readCgroupMemory(files, 8 * GIB)).toEqual({ limitBytes: GIB, usedBytes: GIB / 4 });
    expect(await readMemoryPressure(files)).toEqual({ highBytes: GIB / 2, oomKills: 1 });
  });

  it('are read from cgroup v1, also when only the root of the hierarchy is visible in a container', async () => {
    const files = new FakeSystemFiles({
      '/proc/self/cgroup': '4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '50000\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
      '/sys/fs/cgroup/cpu/cpu.stat': 'nr_periods 9\nnr_throttled 4\nthrottled_time 250000000\n',
      '/sys/fs/cgroup/cpuacct/cpuacct.usage': '3000000000\n',
      '/sys/fs/cgroup/memory/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 2\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': `${GIB}\n`,
      '/sys/fs/cgroup/memory/memory.usage_in_bytes': `${GIB / 2}\n`,
      '/sys/fs/cgroup/memory/memory.stat': `cache 1\ntotal_inactive_file ${GIB / 8}\n`,
    });
    expect(await readCgroupCpu(files)).toEqual({ cores: 0.5, usedSeconds: 3, throttledSeconds: 0.25 });
    expect(await readCgroupMemory(files, 8 * GIB)).toEqual({ limitBytes: GIB, usedBytes: (GIB * 3) / 8 });
    expect(await readMemoryPressure(files)).toEqual({ highBytes: undefined, oomKills: 2 });
  });

  it('are absent without control groups, without a quota, and at a memory limit above the host’s size', async () => {
    const unlimited = new FakeSystemFiles({
      '/proc/self/cgroup': '4:memory:/\n1:cpu:/\n0::/\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
      '/sys/fs/cgroup/cpuacct/cpuacct.usage': '1\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
      '/sys/fs/cgroup/memory/memory.usage_in_bytes': '1\n',
      '/sys/fs/cgroup/cpu.max': 'max 100000\n',
      '/sys/fs/cgroup/cpu.stat': 'usage_usec 1\n',
    });
    for (const files of [unlimited, new FakeSystemFiles({})]) {
      expect(await readCgroupCpu(files)).toBeUndefined();
      expect(await readCgroupMemory(files, 8 * GIB)).toBeUndefined();
    }
  });
});

describe('ResourceMonitor', () => {
  it('reports CPU as a share of the container’s limit between two samples', async () => {
    const clock = new TestClock();
    const files = new FakeSystemFiles({
      '/proc/self/cgroup': '0::/\n',
      '/sys/fs/cgroup/cpu.max': '50000 100000\n',
      '/sys/fs/cgroup/cpu.stat': 'usage_usec 1000000\n',
      '/sys/fs/cgroup/memory.max': '1000000\n',
      '/sys/fs/cgroup/memory.current': '900000\n',
      '/proc/self/status': 'Name:\tnode\nThreads:\t11\n',
      '/proc/self/limits':
        'Limit  Soft Limit  Hard Limit  Units\nMax open files            4096                 1048576              files\n',
      '/proc/self/fd/0': '',
      '/proc/self/fd/1': '',
    });
    const monitor = new ResourceMonitor(clock, files, 5000, ['/', '/no/such/path']);
    await monitor.start();
    expect(monitor.current()).toMatchObject({
      cpu: null,
      cpuCores: 0.5,
      memory: 0.9,
      threads: 11,
      openFds: 2,
      maxFds: 4096,
    });
    expect(monitor.current()?.disks.map(({ path }) => path)).toEqual(['/']);

    files.files['/sys/fs/cgroup/cpu.stat'] = 'usage_usec 3000000\n';
    await clock.advance(5000);
    // 2 s of CPU time in 5 s at half a core.
    await expect.poll(() => monitor.current()?.cpu).toBeCloseTo(0.8, 5);

    monitor.stop();
    expect(clock.pendingTimers).toBe(0);
  });

  it('reports the host where no limit applies', async () => {
    const clock = new TestClock();
    const monitor = new ResourceMonitor(clock, new FakeSystemFiles({}), 5000, []);
    await monitor.start();
    await clock.advance(5000);
    await expect.poll(() => monitor.current()?.cpu).not.toBeNull();
    const figures = monitor.current();
    expect(figures?.cpu).toBeGreaterThanOrEqual(0);
    expect(figures?.cpu).toBeLessThanOrEqual(1);
    expect(figures?.memory).toBeGreaterThan(0);
    expect(figures?.memory).toBeLessThan(1);
    monitor.stop();
  });
});
