export { type MetricSample, parseExposition } from './exposition.js';
export { FakeSystemFiles } from './fake-system-files.js';
export {
  type FleetFiguresUnderTest,
  fleetFiguresContract,
  instanceFigures,
} from './fleet-figures.contract.js';
export { type CollectedSpan, type CollectorMood, OtlpCollector } from './otlp-collector.js';
export { systemFilesContract } from './system-files.contract.js';
