export { EmbeddedPostgres, type EmbeddedPostgresOptions } from './embedded-postgres.js';
export {
  DataFolderForeignError,
  DataFolderLockedError,
  DataFolderUnwritableError,
  EmbeddedStartError,
} from './errors.js';
