import 'reflect-metadata';
import { describe, expect, it } from 'vitest';
import { PermitActivity, tracked } from './permit-activity.js';
import { WithPermit } from './with-permit.decorator.js';

describe('the activity under a permit', () => {
  const method = tracked((work: () => unknown) => work());

  it('is over at once where nothing is pending, and when the last promise settles, otherwise', async () => {
    let idle = 0;
    const plain = new PermitActivity();
    plain.run(() => method(() => 1));
    plain.whenIdle(() => idle++);
    expect(idle).toBe(1);

    const pending = new PermitActivity();
    const ends: ((failure?: Error) => void)[] = [];
    const promise = () =>
      new Promise<void>((resolve, reject) => {
        ends.push((failure) => (failure ? reject(failure) : resolve()));
      });
    const results = pending.run(() => [method(promise), method(promise)]) as Promise<void>[];
    const failed = results[1]!.catch((error: Error) => error.message);
    pending.whenIdle(() => idle++);
    ends[0]!();
    await results[0];
    expect(idle).toBe(1);
    ends[1]!(new Error('failed'));
    expect(await failed).toBe('failed');
    expect(idle).toBe(2);
  });

  it('never starts a handler after its end, and does not hinder one that runs', () => {
    const late = new PermitActivity();
    late.stop(new Error('gone'));
    let ran = false;
    const handler = () =>
      method(() => {
        ran = true;
      });
    expect(() => late.run(handler)).toThrow(expect.objectContaining({ code: 'CALLER_LEFT' }));
    expect(ran).toBe(false);

    const running = new PermitActivity();
    running.run(() => method(() => 1));
    running.stop(new Error('ended'));
    expect(running.run(() => method(() => 2))).toBe(2);
  });

  it('leaves a method as other decorators made it: its name, its metadata, its receiver', () => {
    const note = (_target: object, _name: string, descriptor: PropertyDescriptor) =>
      Reflect.defineMetadata('below', 'kept', descriptor.value);
    class Host {
      readonly answer = 42;

      @WithPermit({ name: 'method' })
      @note
      one() {
        return this.answer;
      }
    }
    @WithPermit({ name: 'class' })
    class Whole {
      readonly answer = 43;

      @note
      two() {
        return this.answer;
      }

      get three() {
        return this.answer;
      }
    }
    expect([new Host().one(), Host.prototype.one.name]).toEqual([42, 'one']);
    expect(Reflect.getMetadata('below', Host.prototype.one)).toBe('kept');
    const whole = new Whole();
    expect([whole.two(), whole.three, Whole.prototype.two.name]).toEqual([43, 43, 'two']);
    expect(Reflect.getMetadata('below', Whole.prototype.two)).toBe('kept');
  });
});
