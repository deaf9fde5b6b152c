import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Redis } from 'ioredis';

/** Two connections of the application's own: one for commands, one that listens. Without a URL, none. */
@Injectable()
export class RedisConnections implements OnApplicationShutdown {
  private constructor(readonly limits?: { readonly client: Redis; readonly subscriber: Redis }) {}

  /** Resolves when they are ready: until then, limits would be counted in this process alone. */
  static async open(url: string | undefined): Promise<RedisConnections> {
    if (!url) return new RedisConnections();
    const [client, subscriber] = await Promise.all([connect(url), connect(url)]);
    return new RedisConnections({ client, subscriber });
  }

  onApplicationShutdown(): void {
    this.limits?.client.disconnect();
    this.limits?.subscriber.disconnect();
  }
}

async function connect(url: string): Promise<Redis> {
  const connection = new Redis(url, {
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
  });
  connection.on('error', (error) => console.error(`Redis: ${error.message}`));
  await connection.connect();
  return connection;
}
