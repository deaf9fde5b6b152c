export { SeededRandom } from '../seeded-random.js';
export { freePort, until } from './loopback.js';
export { RedisCluster, RedisServer } from './redis-server.js';
export { TcpProxy } from './tcp-proxy.js';
export { TestClock } from './test-clock.js';
