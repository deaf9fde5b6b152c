import 'reflect-metadata';
import { ApiModule, createApi, GrpcServer } from '@sparkle/api';
import { CourseLoader } from '@sparkle/graphrag';
import {
  openServices,
  parseEnvironment,
  RuntimeModule,
  runProcess,
  serve,
  TenantRegistry,
  TokenService,
  withServices,
} from '@sparkle/runtime';
import { WorkerModule } from '@sparkle/worker';
import { DEMO, loadSampleCourse } from './course/sample-course.js';
import { embeddedNotice, firstSteps } from './first-steps.js';

/** How long the token lasts that is printed at start. */
const TOKEN_LIFETIME_SECONDS = 12 * 3600;

await runProcess(async () => {
  const config = parseEnvironment(process.env, { embedded: true });
  if (config.mode === 'embedded') process.stdout.write(embeddedNotice(config.dataDirectory));
  return withServices(await openServices(config), async (services) => {
    const root = {
      module: ApiModule,
      imports: [RuntimeModule.forRoot(config, services), WorkerModule],
    };
    const app = await createApi(root, config);
    try {
      await app.init();
      if (config.mode === 'embedded') await loadSampleCourse(app.get(CourseLoader), app.get(TenantRegistry));
      const running = await serve('sparkle', app, config, services, () => app.get(GrpcServer).address);
      const token = await app.get(TokenService).issue({ ...DEMO, userId: 'alice' }, TOKEN_LIFETIME_SECONDS);
      return config.mode === 'embedded'
        ? { ...running, readyLine: `${running.readyLine}\n${firstSteps(running.address, token)}` }
        : running;
    } catch (error) {
      await app.close();
      throw error;
    }
  });
});
