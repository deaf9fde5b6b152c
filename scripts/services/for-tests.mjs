import { postgresPrograms, prometheusTools, ServicesError, startServices, stopServices } from './index.mjs';
import { redisServer } from './redis.mjs';

/**
 * The services tests run on: those named by TEST_DATABASE_URL and TEST_REDIS_URL, else servers started for
 * this run.
 * @returns the environment for the tests and `release`, which ends what was started here.
 * @throws ServicesError when they are neither named nor can be started.
 */
export async function servicesForTests(log) {
  const { TEST_DATABASE_URL, TEST_REDIS_URL } = process.env;
  // Fault tests start servers of their own beside the named ones.
  redisServer(log);
  const env = { TEST_POSTGRES_BIN: postgresPrograms(log), TEST_PROMETHEUS_BIN: prometheusTools(log) };
  if (TEST_DATABASE_URL && TEST_REDIS_URL) return { env, release: async () => {} };
  const urls = await startServices('test', { log });
  return {
    env: {
      ...env,
      TEST_DATABASE_URL: TEST_DATABASE_URL ?? urls.adminDatabaseUrl,
      TEST_REDIS_URL: TEST_REDIS_URL ?? urls.redisUrl,
    },
    release: () => stopServices('test', { wipe: true }),
  };
}

/** The environment that names Prometheus' programs; empty, with a line in the log, where there are none. */
export function prometheusForTests(log) {
  try {
    return { TEST_PROMETHEUS_BIN: prometheusTools(log) };
  } catch (error) {
    if (!(error instanceof ServicesError)) throw error;
    log(`going without Prometheus: ${error.message}`);
    return {};
  }
}
