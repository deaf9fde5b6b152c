import 'reflect-metadata';
import {
  createHttpApplication,
  openServices,
  parseEnvironment,
  RuntimeModule,
  runProcess,
  serve,
  withServices,
} from '@sparkle/runtime';
import { OperationsController } from './operations/operations.controller.js';
import { WorkerModule } from './worker.module.js';

/** The worker serves its health and metrics, which take no body. */
const BODY_LIMIT_BYTES = 1024;

await runProcess(async () => {
  const config = parseEnvironment(process.env, {
    embedded: false,
    defaultPort: 3001,
    serviceName: 'sparkle-worker',
  });
  return withServices(await openServices(config), async (services) => {
    // Beside the api in one process there is one set of these routes: the api's.
    const root = {
      module: WorkerModule,
      imports: [RuntimeModule.forRoot(config, services)],
      controllers: [OperationsController],
    };
    const app = await createHttpApplication(root, config, BODY_LIMIT_BYTES);
    try {
      return await serve('sparkle worker', app, config, services);
    } catch (error) {
      await app.close();
      throw error;
    }
  });
});
