/** A binary heap: the heaviest item is at hand at once, and a change of weight costs O(log items). */
export class HeaviestFirst<Item> {
  private readonly items: Item[] = [];
  private readonly places = new Map<Item, number>();

  constructor(private readonly weightOf: (item: Item) => number) {}

  get size(): number {
    return this.items.length;
  }

  get heaviest(): Item | undefined {
    return this.items[0];
  }

  /** Puts an item where its weight belongs; adds it if it is not there yet. */
  update(item: Item): void {
    let place = this.places.get(item);
    if (place === undefined) {
      place = this.items.length;
      this.items.push(item);
    }
    this.sink(item, this.rise(item, place));
  }

  remove(item: Item): void {
    const place = this.places.get(item);
    if (place === undefined) return;
    this.places.delete(item);
    const last = this.items.pop();
    if (last === undefined || last === item) return;
    this.sink(last, this.rise(last, place));
  }

  private rise(item: Item, from: number): number {
    const weight = this.weightOf(item);
    let place = from;
    while (place > 0) {
      const parentPlace = (place - 1) >> 1;
      const parent = this.items[parentPlace]!;
      if (this.weightOf(parent) >= weight) break;
      this.put(parent, place);
      place = parentPlace;
    }
    this.put(item, place);
    return place;
  }

  private sink(item: Item, from: number): void {
    const weight = this.weightOf(item);
    const { length } = this.items;
    let place = from;
    for (;;) {
      const left = 2 * place + 1;
      if (left >= length) break;
      const rightIsHeavier =
        left + 1 < length && this.weightOf(this.items[left + 1]!) > this.weightOf(this.items[left]!);
      const heavierPlace = rightIsHeavier ? left + 1 : left;
      const heavier = this.items[heavierPlace]!;
      if (this.weightOf(heavier) <= weight) break;
      this.put(heavier, place);
      place = heavierPlace;
    }
    this.put(item, place);
  }

  private put(item: Item, place: number): void {
    this.items[place] = item;
    this.places.set(item, place);
  }
}
