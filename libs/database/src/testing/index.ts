export {
  createTestDatabase,
  type TestDatabase,
  type TestDatabaseOptions,
  TestDatabaseUrlMissingError,
} from './test-database.js';
