import { isSparkleError } from '@sparkle/contracts';
import { openServices, parseEnvironment } from '../../src/index.js';

/** Opens the services that the environment given as JSON describes, closes them, and ends when nothing is open. */
try {
  const config = parseEnvironment(JSON.parse(process.argv[2]!), { embedded: true });
  const services = await openServices(config);
  await services.close();
  process.stdout.write('closed\n');
} catch (error) {
  process.stdout.write(`${isSparkleError(error) ? error.code : String(error)}\n`);
}
