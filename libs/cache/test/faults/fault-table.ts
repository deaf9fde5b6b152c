import type { RedisServer, TcpProxy } from '@sparkle/contracts/testing';

/** A fault of Redis, or of the way to it. `docs/guides/cache-faults.md` has a line for each. */
export interface Fault {
  readonly name: string;
  begin(server: RedisServer, proxy: TcpProxy): unknown;
  end(server: RedisServer, proxy: TcpProxy): unknown;
  /** Whether the cache leaves Redis alone while the fault lasts. A Redis that answers probes is tried again. */
  readonly leftAlone: 'yes' | 'no' | 'between probes';
  /** What a `delete` meanwhile returns. */
  readonly invalidation: readonly ('applied' | 'deferred')[];
  /** Whether what Redis had is lost. */
  readonly empties: boolean;
}

const config = (server: RedisServer, name: string, value: string) =>
  server.command('config', 'set', name, value);

export const faults: readonly Fault[] = [
  {
    name: 'Redis process frozen',
    begin: (server) => server.stall(),
    end: (server) => server.resume(),
    leftAlone: 'yes',
    invalidation: ['deferred'],
    empties: false,
  },
  {
    name: 'connections stalled',
    begin: (_, proxy) => proxy.stall(),
    end: (_, proxy) => proxy.resume(),
    leftAlone: 'yes',
    invalidation: ['deferred'],
    empties: false,
  },
  {
    name: 'connections refused',
    begin: (_, proxy) => proxy.refuse(),
    end: (_, proxy) => proxy.accept(),
    leftAlone: 'yes',
    invalidation: ['deferred'],
    empties: false,
  },
  {
    name: 'killed and restarted empty',
    begin: (server) => server.kill(),
    end: (server) => server.restart(),
    leftAlone: 'yes',
    invalidation: ['deferred'],
    empties: true,
  },
  {
    name: 'flushed',
    begin: (server) => server.command('flushall'),
    end: () => undefined,
    leftAlone: 'no',
    invalidation: ['applied'],
    empties: true,
  },
  {
    name: 'read-only (a replica)',
    begin: (server) => server.command('replicaof', '127.0.0.1', '1'),
    end: (server) => server.command('replicaof', 'no', 'one'),
    leftAlone: 'between probes',
    invalidation: ['deferred'],
    empties: false,
  },
  {
    name: 'too few replicas to write',
    begin: (server) => config(server, 'min-replicas-to-write', '1'),
    end: (server) => config(server, 'min-replicas-to-write', '0'),
    leftAlone: 'between probes',
    invalidation: ['deferred'],
    empties: false,
  },
  {
    name: 'out of memory (noeviction)',
    begin: (server) => config(server, 'maxmemory', '1mb'),
    end: (server) => config(server, 'maxmemory', '0'),
    leftAlone: 'between probes',
    invalidation: ['applied', 'deferred'],
    empties: false,
  },
  {
    name: 'slow by 200 ms',
    begin: (_, proxy) => proxy.delay(200),
    end: (_, proxy) => proxy.delay(0),
    leftAlone: 'yes',
    invalidation: ['deferred'],
    empties: false,
  },
];
