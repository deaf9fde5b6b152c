export { ApiModule } from './api.module.js';
export { createApi } from './http/http-server.js';
