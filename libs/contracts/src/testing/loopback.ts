import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Where servers of tests listen. */
export const HOST = '127.0.0.1';

/** How long a server may take to answer, or several to agree, in attempts of 50 ms. */
const ATTEMPTS = 400;

/**
 * Waits until `holds` returns true; a rejection counts as false.
 * @throws Error naming `what` when that has not happened after 20 s.
 */
export async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (await holds().catch(() => false)) return;
    await sleep(50);
  }
  throw new Error(`${what} is not ready after ${(ATTEMPTS * 50) / 1000} s`);
}

/** A port of {@link HOST} that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, HOST);
  await once(server, 'listening');
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== 'object' || !address) throw new Error('no port was given');
  return address.port;
}
