import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { embeddedToken, eventually, ingest, RunningApp } from './running-app.js';

/** A document long enough to be caught in the middle: several hundred chunks. */
function almanac(): string {
  const towns = ['Aldburg', 'Brenwick', 'Corhaven', 'Dunmere', 'Eastfell', 'Farrow', 'Glenholt', 'Harwick'];
  const entries = Array.from({ length: 400 }, (_, year) => {
    const town = towns[year % towns.length];
    const facts = `In ${1500 + year} the town of ${town} elected Mayor Number ${year}. `;
    return `## Year ${1500 + year}\n\n${facts}${`The harvest of ${town} was recorded by the guild of weavers. `.repeat(12)}`;
  });
  return `# Almanac\n\n${entries.join('\n\n')}`;
}

describe('the standalone application', () => {
  let data: string;
  let app: RunningApp | undefined;
  let token: string;

  beforeEach(async () => {
    data = await mkdtemp(join(tmpdir(), 'sparkle-e2e-'));
    app = await RunningApp.start('standalone', { SPARKLE_DATA: data });
    token = await embeddedToken(data, 'demo', 'alice');
  });

  afterEach(async () => {
    await app?.stop('SIGKILL');
    await rm(data, { recursive: true, force: true });
  });

  it('ends upon SIGTERM with status 0 and has its data after the next start', async () => {
    await ingest(app!, token, 'Note', 'The lighthouse of Norvale was lit by Greta Holm in 1877.');
    expect(await app!.stop()).toBe(0);
    app = await RunningApp.start('standalone', { SPARKLE_DATA: data });
    const { body } = await app.send('/v1/answers', {
      token,
      json: { question: 'Who lit the lighthouse of Norvale?' },
    });
    expect(body.answer).toContain('Greta Holm');
  });

  it('completes a document whose ingestion was cut off by kill -9', async () => {
    const accepted = await app!.send('/v1/documents', { token, json: { title: 'Almanac', text: almanac() } });
    expect(accepted.status).toBe(202);
    const path = `/v1/jobs/${accepted.body.jobId}`;
    const halfway = await eventually(
      () => app!.send(path, { token }),
      (reply) => reply.body.progress > 0,
    );
    expect(halfway.body.state).toBe('running');
    await app!.stop('SIGKILL');
    app = await RunningApp.start('standalone', { SPARKLE_DATA: data });
    const done = await eventually(
      () => app!.send(path, { token }),
      (reply) => reply.body.state === 'completed',
      1200,
    );
    expect(done.body.progress).toBe(1);
    const document = await app.send(`/v1/documents/${accepted.body.documentId}`, { token });
    expect(document.body.state).toBe('ready');
    expect(document.body.chunks).toBeGreaterThan(100);
  });
});
