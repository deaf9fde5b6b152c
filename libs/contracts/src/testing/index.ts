export { SeededRandom } from './seeded-random.js';
export { TestClock } from './test-clock.js';
