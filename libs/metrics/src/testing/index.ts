export { type MetricSample, parseExposition } from './exposition.js';
export { FakeSystemFiles } from './fake-system-files.js';
export { systemFilesContract } from './system-files.contract.js';
