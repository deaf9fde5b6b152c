const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const UUID_BYTES = 16;

/** Strings numbered from zero, one after the other in one piece of memory outside of the heap. */
export class PackedStrings {
  /** @internal Made by {@link PackedStringsBuilder}. */
  constructor(
    private readonly bytes: Buffer,
    private readonly ends: Uint32Array,
  ) {}

  get size(): number {
    return this.ends.length;
  }

  get(index: number): string {
    return this.bytes.toString('utf8', index === 0 ? 0 : this.ends[index - 1]!, this.ends[index]!);
  }

  get byteLength(): number {
    return this.bytes.length + this.ends.byteLength;
  }
}

export class PackedStringsBuilder {
  private bytes = Buffer.allocUnsafeSlow(1024);
  private readonly ends = new GrowingUint32();
  private length = 0;

  add(text: string): void {
    const most = 3 * text.length;
    if (this.length + most > this.bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.bytes.length, this.length + most));
      this.bytes.copy(larger, 0, 0, this.length);
      this.bytes = larger;
    }
    this.length += this.bytes.write(text, this.length, 'utf8');
    this.ends.push(this.length);
  }

  get(index: number): string {
    return this.bytes.toString('utf8', index === 0 ? 0 : this.ends.at(index - 1), this.ends.at(index));
  }

  build(): PackedStrings {
    const bytes = Buffer.allocUnsafeSlow(this.length);
    this.bytes.copy(bytes, 0, 0, this.length);
    return new PackedStrings(bytes, this.ends.build());
  }
}

/** Ids in rising order, numbered from zero; 16 bytes each when all of them are UUIDs. */
export class SortedIds {
  /** @internal Made by {@link SortedIdsBuilder}. */
  constructor(
    private readonly uuids: Buffer,
    private readonly others: PackedStrings | undefined,
    readonly size: number,
  ) {}

  get(index: number): string {
    if (index < 0 || index >= this.size) throw new RangeError(`there is no id ${index}`);
    return this.others ? this.others.get(index) : readUuid(this.uuids, index);
  }

  /** The number of an id, or `undefined`. */
  find(id: string): number | undefined {
    let low = 0;
    let high = this.size - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const found = this.get(middle);
      if (found === id) return middle;
      if (found < id) low = middle + 1;
      else high = middle - 1;
    }
    return undefined;
  }

  get byteLength(): number {
    return this.uuids.length + (this.others?.byteLength ?? 0);
  }
}

export class SortedIdsBuilder {
  private uuids = Buffer.allocUnsafeSlow(64 * UUID_BYTES);
  /** In place of {@link uuids}, from the first id on that is none. */
  private others: PackedStringsBuilder | undefined;
  private size = 0;

  /**
   * @param id greater than all before.
   * @returns its number.
   */
  add(id: string): number {
    if (!this.others && !UUID.test(id)) {
      this.others = new PackedStringsBuilder();
      for (let index = 0; index < this.size; index += 1) this.others.add(readUuid(this.uuids, index));
      this.uuids = Buffer.alloc(0);
    }
    if (this.others) this.others.add(id);
    else this.addUuid(id);
    this.size += 1;
    return this.size - 1;
  }

  get length(): number {
    return this.size;
  }

  get(index: number): string {
    return this.others ? this.others.get(index) : readUuid(this.uuids, index);
  }

  build(): SortedIds {
    const uuids = Buffer.allocUnsafeSlow(this.others ? 0 : this.size * UUID_BYTES);
    this.uuids.copy(uuids);
    return new SortedIds(uuids, this.others?.build(), this.size);
  }

  private addUuid(id: string): void {
    const at = this.size * UUID_BYTES;
    if (at === this.uuids.length) {
      const larger = Buffer.allocUnsafeSlow(2 * at);
      this.uuids.copy(larger);
      this.uuids = larger;
    }
    this.uuids.write(id.replaceAll('-', ''), at, 'hex');
  }
}

function readUuid(bytes: Buffer, index: number): string {
  const hex = bytes.toString('hex', index * UUID_BYTES, (index + 1) * UUID_BYTES);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** A list of numbers that grows in a typed array. */
export class GrowingUint32 {
  private values = new Uint32Array(256);
  size = 0;

  push(value: number): void {
    if (this.size === this.values.length) {
      const larger = new Uint32Array(2 * this.size);
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.size] = value;
    this.size += 1;
  }

  at(index: number): number {
    return this.values[index]!;
  }

  build(): Uint32Array {
    return this.values.slice(0, this.size);
  }
}

/** Which numbers each of many keys stands for: a hash table over packed keys. */
export class KeyIndex {
  /** @internal Made by {@link KeyIndexBuilder}. */
  constructor(
    private readonly keys: PackedStrings,
    private readonly owners: Uint32Array,
    /** Places of keys by hash, plus one; equal keys are chained through the following places. */
    private readonly table: Int32Array,
  ) {}

  /** The numbers registered under exactly this key, rising, each once. */
  get(key: string): readonly number[] {
    const { table } = this;
    const mask = table.length - 1;
    const found = new Set<number>();
    for (let at = hashOf(key) & mask; table[at] !== 0; at = (at + 1) & mask) {
      const place = table[at]! - 1;
      if (this.keys.get(place) === key) found.add(this.owners[place]!);
    }
    return [...found].sort((left, right) => left - right);
  }

  get byteLength(): number {
    return this.keys.byteLength + this.owners.byteLength + this.table.byteLength;
  }
}

export class KeyIndexBuilder {
  private readonly keys = new PackedStringsBuilder();
  private readonly owners = new GrowingUint32();
  private readonly hashes = new GrowingUint32();

  add(key: string, owner: number): void {
    if (key === '') return;
    this.keys.add(key);
    this.owners.push(owner);
    this.hashes.push(hashOf(key));
  }

  build(): KeyIndex {
    const hashes = this.hashes.build();
    let size = 8;
    while (size < 2 * hashes.length) size *= 2;
    const table = new Int32Array(size);
    for (let place = 0; place < hashes.length; place += 1) {
      let at = hashes[place]! & (size - 1);
      while (table[at] !== 0) at = (at + 1) & (size - 1);
      table[at] = place + 1;
    }
    return new KeyIndex(this.keys.build(), this.owners.build(), table);
  }
}

/** FNV-1a over UTF-16 units. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}
