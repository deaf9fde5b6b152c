import 'reflect-metadata';
import {
  openServices,
  parseEnvironment,
  RuntimeModule,
  runProcess,
  serve,
  withServices,
} from '@sparkle/runtime';
import { ApiModule } from './api.module.js';
import { createApi } from './http/http-server.js';

await runProcess(async () => {
  const config = parseEnvironment(process.env, { embedded: false, defaultPort: 3000 });
  return withServices(await openServices(config), async (services) => {
    const root = { module: ApiModule, imports: [RuntimeModule.forRoot(config, services)] };
    const app = await createApi(root, config);
    try {
      return await serve('sparkle api', app, config, services);
    } catch (error) {
      await app.close();
      throw error;
    }
  });
});
