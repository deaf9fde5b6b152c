import type { DynamicModule, INestApplication } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { createHttpApplication, type RuntimeConfig } from '@sparkle/runtime';
import type { FastifyInstance } from 'fastify';
import { GrpcServer } from '../grpc/grpc-server.js';
import { registerJsonBody } from './json-body.js';
import { registerUploads } from './uploads.js';

/** JSON may escape every character of a document of the largest size. */
const JSON_EXPANSION = 2;
const JSON_OVERHEAD_BYTES = 64 * 1024;

/**
 * Makes the application that `root` describes, with the api's own ways of reading bodies, and describes it at
 * /docs (a page to try it) and /docs-json (OpenAPI). gRPC joins it where the configuration has a port for it.
 */
export async function createApi(root: DynamicModule, config: RuntimeConfig): Promise<NestFastifyApplication> {
  const bodyLimit = config.documentMaxBytes * JSON_EXPANSION + JSON_OVERHEAD_BYTES;
  const app = await createHttpApplication(root, config, bodyLimit);
  const server = app.getHttpAdapter().getInstance() as unknown as FastifyInstance;
  registerJsonBody(server);
  await registerUploads(server, config.documentMaxBytes);
  describeApi(app);
  if (config.grpcPort !== undefined) app.connectMicroservice({ strategy: app.get(GrpcServer) });
  return app;
}

function describeApi(app: INestApplication): void {
  const description = new DocumentBuilder()
    .setTitle('Sparkle')
    .setDescription('Questions answered from a knowledge graph, with citations.')
    .setVersion('1')
    .addBearerAuth()
    .build();
  SwaggerModule.setup('docs', app, SwaggerModule.createDocument(app, description));
}
