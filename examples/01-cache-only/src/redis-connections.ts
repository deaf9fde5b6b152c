import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Redis } from 'ioredis';

/** Two connections of the application's own: one for commands, one that listens. Without a URL, none. */
@Injectable()
export class RedisConnections implements OnApplicationShutdown {
  readonly cache = process.env.REDIS_URL ? open(process.env.REDIS_URL) : undefined;

  onApplicationShutdown(): void {
    this.cache?.client.disconnect();
    this.cache?.subscriber.disconnect();
  }
}

function open(url: string) {
  const connect = () => {
    const connection = new Redis(url, { enableOfflineQueue: false, maxRetriesPerRequest: 0 });
    connection.on('error', (error) => console.error(`Redis: ${error.message}`));
    return connection;
  };
  return { client: connect(), subscriber: connect() };
}
