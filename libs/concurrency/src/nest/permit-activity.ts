import { AsyncLocalStorage } from 'node:async_hooks';
import { createParamDecorator } from '@nestjs/common';
import { CallerLeftError, PermitMissingError } from '../errors.js';

const storage = new AsyncLocalStorage<PermitActivity>();

/**
 * What one handler does under its permit. Nest forgets a promise as soon as its caller has left; this does not,
 * so that the permit stays taken for as long as the work it stands for goes on.
 */
export class PermitActivity {
  private readonly controller = new AbortController();
  private entered = false;
  private running = 0;
  private onIdle: (() => void) | undefined;

  static current(): PermitActivity | undefined {
    return storage.getStore();
  }

  /** Aborts when the caller leaves, the permit is lost or the request ends. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Runs `work` so that {@link current} finds this activity, also later on. */
  run<T>(work: () => T): T {
    return storage.run(this, work);
  }

  /**
   * Calls the handler.
   * @throws CallerLeftError instead, when the caller left before it could start: the permit may be gone.
   */
  call<T>(handler: () => T): T {
    if (this.signal.aborted && !this.entered) throw new CallerLeftError();
    this.entered = true;
    const result = handler();
    if (result instanceof Promise) {
      this.running += 1;
      const done = () => {
        this.running -= 1;
        if (this.running === 0) this.onIdle?.();
      };
      result.then(done, done);
    }
    return result;
  }

  stop(reason: unknown): void {
    this.controller.abort(reason);
  }

  /** Calls `callback` once no promise of the handler is pending; at once when none is. */
  whenIdle(callback: () => void): void {
    if (this.running === 0) callback();
    else this.onIdle = callback;
  }
}

/** Makes a route's promises known to the {@link PermitActivity} it runs in. */
export function tracked<Method extends (...args: never[]) => unknown>(method: Method): Method {
  const wrapper = function (this: unknown, ...args: never[]): unknown {
    const activity = PermitActivity.current();
    const handler = () => method.apply(this, args);
    return activity ? activity.call(handler) : handler();
  };
  // Nest looks routes up by name, and finds what other decorators said on the function itself.
  Object.defineProperty(wrapper, 'name', { value: method.name });
  for (const key of Reflect.getMetadataKeys(method)) {
    Reflect.defineMetadata(key, Reflect.getMetadata(key, method), wrapper);
  }
  return wrapper as Method;
}

/**
 * Parameter of a route under `@WithPermit`: an `AbortSignal` that aborts when the caller leaves, or the permit
 * is lost. A handler that returns a promise keeps its permit until the promise settles, so it should heed this.
 * @throws PermitMissingError on a route without a permit.
 */
export const PermitSignal = createParamDecorator((): AbortSignal => {
  const activity = PermitActivity.current();
  if (!activity) throw new PermitMissingError();
  return activity.signal;
});
