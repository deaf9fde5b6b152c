interface Offer<Value> {
  readonly value: Value;
  readonly taken: () => void;
}

/** Hands numbered values to one consumer; whoever offers one waits until it was taken. */
export class BatchOutlet<Value> {
  private readonly offers = new Map<number, Offer<Value>>();
  private expected = 0;
  private ended = false;
  private wake: () => void = () => {};

  /** @param inOrder values are handed out by number, without gaps; otherwise as they come */
  constructor(private readonly inOrder: boolean) {}

  offer(index: number, value: Value): Promise<void> {
    return new Promise((taken) => {
      this.offers.set(index, { value, taken });
      this.wake();
    });
  }

  end(): void {
    this.ended = true;
    this.wake();
  }

  /** Ends once {@link end} was called and everything is taken. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Value, void> {
    for (;;) {
      const index = this.inOrder ? this.expected : this.offers.keys().next().value;
      const offer = index === undefined ? undefined : this.offers.get(index);
      if (offer) {
        this.offers.delete(index!);
        this.expected += 1;
        offer.taken();
        yield offer.value;
      } else if (this.ended) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
      }
    }
  }
}
