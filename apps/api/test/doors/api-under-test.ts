import type { AddressInfo } from 'node:net';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { TenantPlan } from '@sparkle/concurrency';
import { parseTenantId, type TenantId } from '@sparkle/contracts';
import { createTestDatabase } from '@sparkle/database/testing';
import { DocumentService, IngestionService } from '@sparkle/graphrag';
import {
  openServices,
  parseEnvironment,
  RuntimeModule,
  TenantRegistry,
  TokenService,
} from '@sparkle/runtime';
import { ApiModule } from '../../src/api.module.js';
import { GrpcServer } from '../../src/grpc/grpc-server.js';
import { createApi } from '../../src/http/http-server.js';

/** What a tenant may do in these tests unless one says otherwise. */
const PLAN: TenantPlan = {
  qps: 1_000,
  burst: 1_000,
  permits: 8,
  threadShare: 1,
  tokenBudget: { tokens: 1_000_000, windowMs: 3_600_000 },
};

let tenants = 0;

/** The whole api in this process, on PostgreSQL and Redis, with all its doors open. */
export class ApiUnderTest {
  private constructor(
    readonly app: NestFastifyApplication,
    readonly address: string,
    readonly grpcAddress: string,
    private readonly run: string,
    readonly close: () => Promise<void>,
  ) {}

  static async start(env: Record<string, string> = {}): Promise<ApiUnderTest> {
    const redis = process.env.TEST_REDIS_URL;
    if (!redis) throw new Error('TEST_REDIS_URL is not set; "npm test" sets it');
    const database = await createTestDatabase();
    const config = parseEnvironment(
      {
        DATABASE_URL: database.url,
        REDIS_URL: redis,
        SPARKLE_REDIS_DURABLE: 'true',
        SPARKLE_JWT_KEY: 'a-key-that-is-long-enough-for-hmac-sha-256',
        SPARKLE_GRPC_PORT: '0',
        SPARKLE_LOG_LEVEL: 'fatal',
        ...env,
      },
      { embedded: false },
    );
    const services = await openServices(config);
    const app = await createApi(
      { module: ApiModule, imports: [RuntimeModule.forRoot(config, services)] },
      config,
    );
    await app.startAllMicroservices();
    await app.listen(0, '127.0.0.1');
    const { port } = app.getHttpServer().address() as AddressInfo;
    const close = async () => {
      await app.close();
      await services.close();
      await database.drop();
    };
    const grpcAddress = app.get(GrpcServer).address!;
    return new ApiUnderTest(
      app,
      `http://127.0.0.1:${port}`,
      grpcAddress,
      database.url.split('/').at(-1)!,
      close,
    );
  }

  /** A tenant of this test alone; Redis is shared, so its name is new. */
  async createTenant(plan: Partial<TenantPlan> = {}): Promise<TenantId> {
    const tenant = parseTenantId(`${this.run.replaceAll('_', '-').slice(-40)}-${tenants++}`);
    await this.app.get(TenantRegistry).save(tenant, { plan: { ...PLAN, ...plan } });
    return tenant;
  }

  tokenOf(
    tenantId: TenantId,
    { user = 'alice', scopes = ['read', 'write'], lifetimeSeconds = 3_600 } = {},
  ): Promise<string> {
    return this.app.get(TokenService).issue({ tenantId, userId: user, scopes }, lifetimeSeconds);
  }

  /** Makes a text answerable. */
  async teach(tenantId: TenantId, title: string, content: string): Promise<void> {
    const upload = { tenantId, userId: 'alice', title, format: 'markdown' as const, content };
    const { job } = await this.app.get(DocumentService).submit(upload);
    await this.app.get(IngestionService).process({ tenantId, jobId: job.id });
  }
}
