export { ApiModule } from './api.module.js';
export { GrpcServer } from './grpc/grpc-server.js';
export { createApi } from './http/http-server.js';
