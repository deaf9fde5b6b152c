import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseTenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { TokenExpiredError, TokenInvalidError } from '../errors.js';
import { embeddedJwtKey } from './embedded-key.js';
import { TokenService } from './token.service.js';

const KEY = 'a-key-that-is-long-enough-for-hmac-sha-256';
const ALICE = { tenantId: parseTenantId('demo'), userId: 'alice', scopes: ['read', 'write'] };

describe('TokenService', () => {
  it('verifies what it issued', async () => {
    const service = new TokenService(KEY, new TestClock());
    expect(await service.verify(await service.issue(ALICE, 60))).toEqual(ALICE);
  });

  it('refuses a token whose time is over', async () => {
    const clock = new TestClock();
    const service = new TokenService(KEY, clock);
    const token = await service.issue(ALICE, 60);
    await clock.advance(61_000);
    await expect(service.verify(token)).rejects.toBeInstanceOf(TokenExpiredError);
  });

  it('refuses tokens of another key, without signature, changed, or not meant for this service', async () => {
    const clock = new TestClock();
    const service = new TokenService(KEY, clock);
    const genuine = await service.issue(ALICE, 60);
    const [header, , signature] = genuine.split('.');
    const payload = Buffer.from(JSON.stringify({ sub: 'alice', tenant: 'victim' })).toString('base64url');
    const elsewhere = await new SignJWT({ tenant: 'demo' })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject('alice')
      .setIssuer('sparkle')
      .setAudience('another-service')
      .setExpirationTime(Math.floor(clock.now() / 1000) + 60)
      .sign(new TextEncoder().encode(KEY));
    for (const token of [
      await new TokenService(`${KEY}x`, clock).issue(ALICE, 60),
      `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`,
      `${header}.${payload}.${signature}`,
      elsewhere,
      'nonsense',
    ]) {
      await expect(service.verify(token)).rejects.toBeInstanceOf(TokenInvalidError);
    }
  });

  it('refuses a genuine token without a valid tenant', async () => {
    const clock = new TestClock();
    const service = new TokenService(KEY, clock);
    const token = await service.issue({ ...ALICE, tenantId: 'Not A Tenant' as typeof ALICE.tenantId }, 60);
    await expect(service.verify(token)).rejects.toBeInstanceOf(TokenInvalidError);
  });
});

describe('embeddedJwtKey', () => {
  it('is made once, by whoever comes first, and readable by its owner only', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sparkle-key-'));
    try {
      const keys = await Promise.all([1, 2, 3].map(() => embeddedJwtKey(folder)));
      expect(new Set(keys).size).toBe(1);
      expect(keys[0]!.length).toBeGreaterThanOrEqual(32);
      expect((await stat(join(folder, 'jwt.key'))).mode & 0o077).toBe(0);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
