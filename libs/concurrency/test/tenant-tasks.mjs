/** Tasks that the tests run in tenants' threads. */
import { threadId } from 'node:worker_threads';

export default (payload) => payload;
export const double = ({ value }) => value * 2;
export const whereAmI = () => threadId;
export const environment = () => ({ ...process.env });
export const fail = (message) => {
  throw new TypeError(message);
};
export const failUncloneable = () => {
  throw Object.assign(new Error('with a function'), { callback: () => undefined });
};
export const uncloneable = () => () => undefined;
export const exit = (code) => process.exit(code);
export const crash = () =>
  new Promise(() => {
    setImmediate(() => {
      throw new Error('nobody catches this');
    });
  });
export const reject = () =>
  new Promise(() => {
    void Promise.reject(new Error('nobody handles this'));
  });
export const hoard = () => {
  const kept = [];
  for (;;) kept.push(Array.from({ length: 10_000 }, (_, index) => ({ index })));
};
/** Says through the shared flag that it has begun, and never ends. */
export const spin = (begun) => {
  Atomics.store(new Int32Array(begun), 0, 1);
  for (;;);
};
