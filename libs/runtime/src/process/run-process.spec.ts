import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { SpawnedProcess } from '../../test/processes/spawn-process.js';

const start = (...args: string[]) => SpawnedProcess.start('application.ts', ...args);

describe.concurrent('runProcess', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    'closes the application upon %s and ends with 0',
    async (signal) => {
      const child = start('orderly');
      await child.said('ready\n');
      child.signal(signal);
      expect(await child.status()).toBe(0);
      expect(child.stdout).toBe('ready\nclosed\n');
      expect(child.stderr).toBe('');
    },
  );

  it('ends at once upon a second signal', async () => {
    const hanging = start('never closes');
    await hanging.said('ready\n');
    hanging.signal('SIGTERM');
    await hanging.said('closing\n');
    hanging.signal('SIGTERM');
    expect(await hanging.status()).toBe(1);
  });

  it('ends with 1 and says so when closing hangs', async () => {
    const child = start('never closes');
    await child.said('ready\n');
    child.signal('SIGTERM');
    expect(await child.status()).toBe(1);
    expect(child.stderr).toBe('sparkle: not everything ended within 0.1 s\n');
  });

  it('ends upon a signal although the start hangs', async () => {
    const child = start('never starts');
    await child.said('starting\n');
    child.signal('SIGTERM');
    expect(await child.status()).toBe(1);
    expect(child.stderr).toMatch(/^sparkle: not everything ended/);
  });

  it('closes what it started when the signal came during the start, and never says it is ready', async () => {
    const child = start('starts upon a signal');
    await child.said('starting\n');
    child.signal('SIGTERM');
    expect(await child.status()).toBe(0);
    expect(child.stdout).toBe('starting\nclosed\n');
  });

  it('ends with 1 when closing fails', async () => {
    const child = start('fails to close');
    await child.said('ready\n');
    child.signal('SIGTERM');
    expect(await child.status()).toBe(1);
    expect(child.stderr).toContain('cannot close');
  });

  it('explains a foreseen failure of the start without a stack and ends with 1', async () => {
    const child = start('misconfigured');
    expect(await child.status()).toBe(1);
    expect(child.stderr).toBe('sparkle: The configuration is not valid:\n  - PORT: a number\n');
    expect(child.stdout).toBe('');
  });

  it('keeps the stack of a defect', async () => {
    const child = start('defective');
    expect(await child.status()).toBe(1);
    expect(child.stderr).toMatch(/^sparkle: TypeError: this is a defect\n +at /);
  });

  it('ends with 1 even when nothing was thrown', async () => {
    const child = start('throws nothing');
    expect(await child.status()).toBe(1);
    expect(child.stderr).toBe('sparkle: undefined\n');
  });

  it('says that a port is taken, and what to do about it', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = server.address() as { port: number };
      const child = start('listens', String(port));
      expect(await child.status()).toBe(1);
      expect(child.stderr).toMatch(
        /^sparkle: listen EADDRINUSE.*Another process listens there; set PORT\.\n$/,
      );
    } finally {
      server.close();
    }
  });

  it('says that an address is not of this machine', async () => {
    const child = start('listens elsewhere');
    expect(await child.status()).toBe(1);
    expect(child.stderr).toMatch(/^sparkle: listen EADDRNOTAVAIL.*set HOST\.\n$/);
  });

  it('ends with 1 when the application cannot go on', async () => {
    const child = start('fails later');
    await child.said('ready\n');
    child.signal('SIGUSR2');
    expect(await child.status()).toBe(1);
    expect(child.stderr).toContain('lost the database');
  });
});
