import type { Redis } from 'ioredis';

/**
 * Waits until the server's own clock has moved on by `ms`: asks it again and again, so that neither the
 * client's clock nor a timer decides.
 */
export async function passServerTime(client: Redis, ms: number): Promise<void> {
  const read = async () => {
    const [seconds, microseconds] = await client.time();
    return Number(seconds) * 1000 + Number(microseconds) / 1000;
  };
  const target = (await read()) + ms + 1;
  while ((await read()) < target) {
    // The next question is the wait.
  }
}
