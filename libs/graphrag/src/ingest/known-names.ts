import { Inject, Injectable } from '@nestjs/common';
import { TenantDatabase, type TenantId } from '@sparkle/contracts';
import { readCorpusVersion } from '../adapters/postgres/corpus-version.js';
import { readNames } from '../adapters/postgres/snapshot.store.js';
import { NameDictionary } from '../extract/name-dictionary.js';

const CACHED_TENANTS = 16;

/** What a tenant's published nodes are called, for finding them in new passages. Kept per corpus version. */
@Injectable()
export class KnownNames {
  private readonly cached = new Map<TenantId, { version: number; names: NameDictionary }>();

  constructor(@Inject(TenantDatabase) private readonly database: TenantDatabase) {}

  async of(tenantId: TenantId): Promise<NameDictionary> {
    return this.database.withTenant(tenantId, async (sql) => {
      const version = await readCorpusVersion(sql, tenantId);
      const known = this.cached.get(tenantId);
      if (known?.version === version) return known.names;
      const names = new NameDictionary();
      const numbers = new Map<string, number>();
      for (const { nodeId, key, course } of await readNames(sql, tenantId)) {
        if (!numbers.has(nodeId)) numbers.set(nodeId, numbers.size);
        if (isDistinctive(key, course)) names.addKey(key, numbers.get(nodeId)!);
      }
      this.cached.delete(tenantId);
      this.cached.set(tenantId, { version, names });
      if (this.cached.size > CACHED_TENANTS) this.cached.delete(this.cached.keys().next().value!);
      return names;
    });
  }
}

/**
 * A title of one common word ("Home") must not turn every such word of every text into a mention: names of one
 * word are looked for only when a course says that they are concepts.
 */
function isDistinctive(key: string, course: boolean): boolean {
  if (!/\p{L}/u.test(key)) return false;
  if (/\p{Script=Han}/u.test(key)) return [...key].length > 1;
  return key.includes(' ') || (course && key.length > 2);
}
