/** What a {@link RecencyList} links. The links belong to the list. */
export interface Listed<Item extends Listed<Item>> {
  readonly bytes: number;
  /** The list the item is in. */
  list: RecencyList<Item> | undefined;
  newer: Item | undefined;
  older: Item | undefined;
}

/** Items from the one used last to the one not used for longest. Every operation is O(1). */
export class RecencyList<Item extends Listed<Item>> {
  entries = 0;
  bytes = 0;
  /** The item not used for longest. */
  oldest: Item | undefined;
  private newest: Item | undefined;

  /** Puts an item that is in no list in front. */
  add(item: Item): void {
    item.list = this;
    item.older = this.newest;
    if (this.newest) this.newest.newer = item;
    else this.oldest = item;
    this.newest = item;
    this.entries++;
    this.bytes += item.bytes;
  }

  /** Takes out an item of this list. */
  remove(item: Item): void {
    const { newer, older } = item;
    if (newer) newer.older = older;
    else this.newest = older;
    if (older) older.newer = newer;
    else this.oldest = newer;
    item.list = undefined;
    item.newer = undefined;
    item.older = undefined;
    this.entries--;
    this.bytes -= item.bytes;
  }

  /** Moves an item of this list to the front. */
  refresh(item: Item): void {
    if (this.newest === item) return;
    this.remove(item);
    this.add(item);
  }
}
