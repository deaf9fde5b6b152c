import { TestClock } from '@sparkle/contracts/testing';
import { describe, expect, it } from 'vitest';
import { ResourceCleanupError } from '../errors.js';
import { ResourceScope } from './resource-scope.js';

describe('a resource scope', () => {
  it('releases its resources in reverse order, one after the other', async () => {
    const log: string[] = [];
    const scope = new ResourceScope();
    for (const name of ['first', 'second', 'third']) {
      scope.add(name, async () => {
        log.push(`${name} begins`);
        await Promise.resolve();
        log.push(`${name} ends`);
      });
    }
    await scope.close();
    expect(log).toEqual([
      'third begins',
      'third ends',
      'second begins',
      'second ends',
      'first begins',
      'first ends',
    ]);
  });

  it('releases all of them even when some fail, and reports every failure', async () => {
    const log: string[] = [];
    const scope = new ResourceScope();
    scope.defer(() => log.push('first'));
    scope.defer(() => {
      throw new Error('sync');
    });
    scope.defer(() => log.push('third'));
    scope.defer(() => Promise.reject(new Error('async')));
    const failure = await scope.close().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(AggregateError);
    expect(failure).toBeInstanceOf(ResourceCleanupError);
    expect((failure as AggregateError).errors.map((error: Error) => error.message)).toEqual([
      'async',
      'sync',
    ]);
    expect(log).toEqual(['third', 'first']);
  });

  it('releases once, however often it is closed', async () => {
    let released = 0;
    const scope = new ResourceScope();
    scope.defer(() => {
      released += 1;
    });
    await Promise.all([scope.close(), scope.close()]);
    await scope.close();
    expect(released).toBe(1);
  });

  it('works with "await using", for resources that dispose of themselves too', async () => {
    const log: string[] = [];
    {
      await using scope = new ResourceScope();
      scope.use({ [Symbol.dispose]: () => void log.push('sync') });
      scope.use({ [Symbol.asyncDispose]: async () => void log.push('async') });
    }
    expect(log).toEqual(['async', 'sync']);
  });

  it('releases at once what is registered too late', async () => {
    const log: string[] = [];
    const scope = new ResourceScope();
    await scope.close();
    expect(() => scope.defer(() => log.push('released'))).toThrow(
      expect.objectContaining({ code: 'RESOURCE_SCOPE_CLOSED' }),
    );
    expect(log).toEqual(['released']);
  });

  it("gives the work's result after everything is released", async () => {
    const log: string[] = [];
    const result = await ResourceScope.run((scope) => {
      scope.defer(() => log.push('released'));
      return 'result';
    });
    expect([result, log]).toEqual(['result', ['released']]);
  });

  it("passes the work's own error on, with the clean-ups' errors when there are some", async () => {
    const work = new Error('work');
    const cleanup = new Error('cleanup');
    await expect(
      ResourceScope.run(() => {
        throw work;
      }),
    ).rejects.toBe(work);
    const both = await ResourceScope.run((scope) => {
      scope.defer(() => Promise.reject(cleanup));
      throw work;
    }).catch((error: unknown) => error);
    expect((both as AggregateError).errors).toEqual([work, cleanup]);
  });

  it('releases at once what is registered while it is closing', async () => {
    const log: string[] = [];
    const scope = new ResourceScope();
    let goOn = () => {};
    scope.defer(() => log.push('first'));
    scope.defer(
      () =>
        new Promise<void>((resolve) => {
          goOn = resolve;
        }),
    );
    const closing = scope.close();
    expect(() => scope.defer(() => log.push('late'))).toThrow(
      expect.objectContaining({ code: 'RESOURCE_SCOPE_CLOSED' }),
    );
    goOn();
    await closing;
    expect(log).toEqual(['late', 'first']);
  });

  it('nests: a scope is a resource of another', async () => {
    const log: string[] = [];
    const outer = new ResourceScope();
    outer.defer(() => log.push('outer'));
    outer.use(new ResourceScope()).defer(() => log.push('inner'));
    await outer.close();
    expect(log).toEqual(['inner', 'outer']);
  });

  it('waits no longer for a clean-up than it was told, and reports it', async () => {
    const clock = new TestClock();
    const log: string[] = [];
    const scope = new ResourceScope({ clock, cleanupTimeoutMs: 100 });
    scope.defer(() => log.push('first'));
    scope.defer(() => new Promise(() => {}));
    scope.defer(async () => log.push('third'));
    const closing = scope.close().catch((error: unknown) => error);
    await clock.advance(99);
    expect(log).toEqual(['third']);
    await clock.advance(1);
    expect((await closing) as AggregateError).toMatchObject({
      errors: [{ code: 'RESOURCE_CLEANUP_TIMEOUT', timeoutMs: 100 }],
    });
    expect(log).toEqual(['third', 'first']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('closes when its signal aborts, and keeps the failures for who closes it', async () => {
    const controller = new AbortController();
    const scope = new ResourceScope({ signal: controller.signal });
    const cleanup = new Error('cleanup');
    let released = false;
    scope.defer(() => {
      released = true;
      throw cleanup;
    });
    controller.abort();
    expect(scope.closed).toBe(true);
    await new Promise((resolve) => setImmediate(resolve));
    expect(released).toBe(true);
    await expect(scope.close()).rejects.toMatchObject({ errors: [cleanup] });
    expect(new ResourceScope({ signal: controller.signal }).closed).toBe(true);
  });
});
