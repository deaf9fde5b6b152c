import { type ExecutionContext, Global, type LoggerService, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Clock, parseTenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { Database, DatabaseModule, RequestScope, RequestScopeInterceptor } from '@sparkle/database';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import { firstValueFrom, Observable } from 'rxjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const acme = parseTenantId('acme');
let db: TestDatabase;
beforeAll(async () => {
  db = await createTestDatabase();
  await db.createTenant(acme);
});
afterAll(() => db.drop());

class RecordingLogger implements LoggerService {
  readonly warnings: string[] = [];

  log(): void {}
  error(): void {}

  warn(message: string, context?: string): void {
    this.warnings.push(`[${context}] ${message}`);
  }
}

describe('DatabaseModule', () => {
  it('writes warnings of the pool and about repeated statements to the application’s log', async () => {
    const clock = new TestClock();
    const logger = new RecordingLogger();

    @Global()
    @Module({ providers: [{ provide: Clock, useValue: clock }], exports: [Clock] })
    class TimeModule {}

    @Module({
      imports: [TimeModule, DatabaseModule.forRoot({ url: db.url, detectRepeatedQueries: true })],
    })
    class App {}

    const app = await NestFactory.createApplicationContext(App, { logger });
    await app.get(Database).withTenant(acme, async (tx) => {
      for (let index = 0; index < 5; index++) await tx.query('SELECT $1::int AS n', [index]);
      await clock.advance(5_000);
    });
    await app.close();
    expect(logger.warnings).toEqual([
      expect.stringMatching(/^\[SparkleDatabase\] The same statement was sent 5 times in one transaction/),
      expect.stringMatching(
        /^\[SparkleDatabase\] A connection of the pool "primary" has been held for 5000 ms\n {4}at .*nest\.int-spec/,
      ),
    ]);
  });
});

describe('RequestScopeInterceptor', () => {
  it('gives each request a scope of its own, named after its handler, that reaches the handler', async () => {
    class Documents {
      async list(): Promise<RequestScope | undefined> {
        await new Promise((resolve) => setImmediate(resolve));
        return RequestScope.current;
      }
    }
    const documents = new Documents();
    const context = {
      getClass: () => Documents,
      getHandler: () => documents.list,
    } as unknown as ExecutionContext;
    const request = () =>
      firstValueFrom(
        new RequestScopeInterceptor().intercept(context, {
          handle: () =>
            new Observable((subscriber) => {
              void documents.list().then((scope) => {
                subscriber.next(scope);
                subscriber.complete();
              });
            }),
        }),
      );
    const [first, second] = (await Promise.all([request(), request()])) as RequestScope[];
    expect(first!.label).toBe('Documents.list');
    expect(second).toBeInstanceOf(RequestScope);
    expect(second).not.toBe(first);
    expect(RequestScope.current).toBeUndefined();
  });
});
