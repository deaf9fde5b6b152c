// npm run services -- start | stop | wipe | status: PostgreSQL + pgvector and Redis for a production-like run.
import { ServicesError, servicesStatus, startServices, stopServices } from './services/index.mjs';

const command = process.argv[2];
const log = (text) => console.error(`services: ${text}`);

try {
  if (command === 'start') {
    const urls = await startServices('dev', { durable: true, log });
    console.log(`export DATABASE_URL=${urls.databaseUrl}\nexport REDIS_URL=${urls.redisUrl}`);
    console.log('export SPARKLE_REDIS_DURABLE=true');
  } else if (command === 'stop' || command === 'wipe') {
    await stopServices('dev', { wipe: command === 'wipe' });
    log(command === 'wipe' ? 'stopped, data removed' : 'stopped, data kept');
  } else if (command === 'status') {
    const { databaseUrl, redisUrl } = servicesStatus('dev');
    console.log(
      `postgres ${databaseUrl ? `up ${databaseUrl}` : 'down'}\nredis ${redisUrl ? `up ${redisUrl}` : 'down'}`,
    );
  } else {
    log('usage: npm run services -- start|stop|wipe|status');
    process.exitCode = 2;
  }
} catch (error) {
  if (!(error instanceof ServicesError)) throw error;
  log(error.message);
  process.exitCode = 1;
}
