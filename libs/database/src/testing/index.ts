export { PostgresServer, type PostgresSettings } from './postgres-server.js';
export {
  createTestDatabase,
  type TestDatabase,
  type TestDatabaseOptions,
  TestDatabaseUrlMissingError,
} from './test-database.js';
