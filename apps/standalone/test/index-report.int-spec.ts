import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { type ApplicationIndexReport, runIndexReport } from '../src/index-report/run-index-report.js';
import { StrangerProbe } from './stranger-probe.js';

let report: ApplicationIndexReport;
const stranger = new StrangerProbe();

beforeAll(async () => {
  const serverUrl = process.env.TEST_DATABASE_URL;
  if (!serverUrl) throw new Error('TEST_DATABASE_URL is not set; npm test sets it');
  report = await runIndexReport({
    where: { serverUrl },
    root: fileURLToPath(new URL('../../..', import.meta.url)),
    scale: 0.005,
    log: () => undefined,
    probe: stranger.probe,
  });
  // Half a minute on a quiet machine.
}, 480_000);

describe('the index report', () => {
  it('reaches every statement of the sources', () => {
    expect(report.unreached.map(({ name }) => name)).toEqual([]);
  });

  it('explains every statement that has a plan', () => {
    expect(report.unexplained.filter(({ failure }) => failure)).toEqual([]);
  });

  it('finds the statement of the sources for everything that was sent', () => {
    const nameless = report.queries.filter(({ name }) => !/^(libs|apps)\/.+\.ts:/.test(name));
    expect(nameless.map(({ text }) => text)).toEqual([]);
  });

  it('knows no foreign key without an index', () => {
    expect(report.missing.filter(({ reason }) => reason === 'foreign-key')).toEqual([]);
  });
});

describe('every statement of a repository, sent for the wrong tenant or for none', () => {
  it('tells nothing and changes nothing', () => {
    expect(stranger.leaks).toEqual([]);
    expect(stranger.asked).toBeGreaterThan(300);
    expect(stranger.refused).toBeGreaterThan(0);
  });
});
