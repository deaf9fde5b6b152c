export { type CacheStoreHarness, cacheStoreContract } from './cache-store.contract.js';
export { FaultyStore, type StoreFaults } from './faulty-store.js';
export { type InvalidationBusHarness, invalidationBusContract } from './invalidation-bus.contract.js';
export {
  CONTRACT_DIMENSIONS,
  type SemanticStoreHarness,
  semanticStoreContract,
} from './semantic-store.contract.js';
