import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  Database,
  type IndexReport,
  indexReport,
  indexUsage,
  migrate,
  openDatabase,
  parseDatabaseOptions,
  StatementCapture,
  type StatementCaptureOptions,
} from '@sparkle/database';
import {
  parseEnvironment,
  postgresQueueBackend,
  RuntimeModule,
  type ServiceConnections,
  schemaOf,
} from '@sparkle/runtime';
import { PlannerStatistics, PROCESSORS } from '@sparkle/worker';
import { driveApplication, findSamples } from './drive-application.js';
import { LEFT_OUT, SETTING } from './left-out.js';
import { dataScale, loadData } from './load-data.js';
import { askAsOperator } from './operator-queries.js';
import { PassageExtractor } from './passage-extractor.js';
import { withOwnDatabase } from './report-database.js';
import { type SourceStatement, scanStatements } from './statement-scan.js';

/** An index of 50,000 vectors takes its time on a busy machine. */
const BUILD_TIMEOUT_MS = 3_600_000;

export interface IndexReportRun {
  /** Where the report may fill a database: one it makes on a server, or an empty one that is the report's alone. */
  readonly where: { readonly serverUrl: string } | { readonly databaseUrl: string };
  /** Folder of the workspace, for finding every statement in its sources. */
  readonly root: string;
  /** Size of the data; 1 is what the report promises. */
  readonly scale: number;
  readonly log: (text: string) => void;
  /** Passed on to the capture of statements. */
  readonly probe?: StatementCaptureOptions['probe'];
}

export interface ApplicationIndexReport extends IndexReport {
  /** Statements in the sources that were never sent: the report is incomplete while there are any. */
  readonly unreached: readonly SourceStatement[];
  /** Statements not explained on purpose, by reason. */
  readonly leftOut: ReadonlyMap<string, number>;
}

/** Loads data, does everything the product does, and judges the indexes by the plans of what was sent. */
export async function runIndexReport({
  where,
  root,
  scale,
  log,
  probe,
}: IndexReportRun): Promise<ApplicationIndexReport> {
  const sources = await scanStatements(root);
  const leftOut = new Map<string, number>();
  const wanted = sources.filter(({ name, text }) => {
    if (SETTING.test(text)) return false;
    const reason = LEFT_OUT.find(({ path }) => path.test(name))?.reason;
    if (reason !== undefined) leftOut.set(reason, (leftOut.get(reason) ?? 0) + 1);
    return reason === undefined;
  });
  const withDatabase = <T>(work: (url: string) => Promise<T>) =>
    'serverUrl' in where ? withOwnDatabase(where.serverUrl, work) : work(where.databaseUrl);
  return withDatabase(async (url) => {
    // Memory adapters and the queue in PostgreSQL: the statements are those of every mode, and Redis is not needed.
    const config = { ...parseEnvironment({}, { embedded: true }), databasePoolSize: 5 };
    await migrate(url, schemaOf(config));
    const database = await openDatabase(
      parseDatabaseOptions({ url, pool: { size: 2, statementTimeoutMs: BUILD_TIMEOUT_MS } }),
    );
    try {
      await loadData(database, dataScale(scale), log);
      const since = await indexUsage(database);
      const samples = await findSamples(database);
      const { statements } = await StatementCapture.run(
        () =>
          runApplication(config, url, async (app) => {
            await driveApplication(app, samples, log);
            await askAsOperator(app.get(Database));
          }),
        probe ? { probe } : {},
      );
      const named = statements.map((statement) => ({ ...statement, name: nameOf(statement, sources) }));
      const report = await indexReport(database, named, { since });
      const texts = [...new Set(statements.map(({ text }) => text))];
      return {
        ...report,
        unreached: wanted.filter((source) => !texts.some((text) => source.matches(text))),
        leftOut,
      };
    } finally {
      await database.close();
    }
  });
}

async function runApplication(
  config: ReturnType<typeof parseEnvironment>,
  databaseUrl: string,
  drive: (app: INestApplicationContext) => Promise<void>,
): Promise<void> {
  const services: ServiceConnections = {
    databaseUrl,
    queueBackend: postgresQueueBackend(databaseUrl),
    jwtKey: 'the report signs nothing with this key',
    close: async () => undefined,
  };
  const root = {
    module: class IndexReportApplication {},
    imports: [RuntimeModule.forRoot(config, services, { extractor: new PassageExtractor() })],
    providers: [...PROCESSORS, PlannerStatistics],
  };
  const app = await NestFactory.createApplicationContext(root, { logger: false, abortOnError: false });
  try {
    await drive(app);
  } finally {
    await app.close();
  }
}

/** The name in the sources of what was sent; the longest text that matches is the statement, shorter ones its parts. */
function nameOf({ name, text }: { name: string; text: string }, sources: readonly SourceStatement[]): string {
  const matching = sources.filter((source) => source.matches(text));
  const best = matching.reduce<SourceStatement | undefined>(
    (longest, source) => (longest && longest.text.length >= source.text.length ? longest : source),
    undefined,
  );
  return best?.name ?? name;
}
