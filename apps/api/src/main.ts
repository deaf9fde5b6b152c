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
import { GrpcServer } from './grpc/grpc-server.js';
import { createApi } from './http/http-server.js';

await runProcess(async () => {
  const config = parseEnvironment(process.env, {
    embedded: false,
    defaultPort: 3000,
    defaultGrpcPort: 50_051,
    serviceName: 'sparkle-api',
  });
  return withServices(await openServices(config), async (services) => {
    const root = { module: ApiModule, imports: [RuntimeModule.forRoot(config, services)] };
    const app = await createApi(root, config);
    try {
      return await serve('sparkle api', app, config, services, () => app.get(GrpcServer).address);
    } catch (error) {
      await app.close();
      throw error;
    }
  });
});
