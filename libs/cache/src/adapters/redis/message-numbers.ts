interface Sender {
  /** Every message up to this one has arrived, or its loss has been noticed. */
  upTo: number;
  /** Those that have arrived before others sent earlier: through a cluster, messages may overtake each other. */
  readonly ahead: Set<number>;
  silentBeats: number;
}

/** Beats of this process after which a sender that was not heard of is forgotten. */
const FORGOTTEN_AFTER = 100;

/**
 * Notices messages that did not arrive. Each sender numbers its messages and says with every heartbeat how many
 * it had sent by the heartbeat before: by now they have arrived or are lost. This finds losses that no connection
 * tells of: a cluster client that has subscribed anew on another node, or a link between two nodes.
 *
 * A sender not known yet counts as one of whom nothing has arrived.
 */
export class MessageNumbers {
  private readonly senders = new Map<string, Sender>();

  noteMessage(from: string, number: number): void {
    const sender = this.sender(from);
    if (number > sender.upTo) sender.ahead.add(number);
    catchUp(sender);
  }

  /** @returns whether all of the first `sentBefore` messages have arrived */
  noteTally(from: string, sentBefore: number): boolean {
    const sender = this.sender(from);
    if (sender.upTo >= sentBefore) return true;
    sender.upTo = sentBefore;
    for (const number of sender.ahead) if (number <= sentBefore) sender.ahead.delete(number);
    catchUp(sender);
    return false;
  }

  /** Counts a beat of this process. */
  age(): void {
    for (const [from, sender] of this.senders)
      if (++sender.silentBeats > FORGOTTEN_AFTER) this.senders.delete(from);
  }

  private sender(from: string): Sender {
    let sender = this.senders.get(from);
    if (!sender) {
      sender = { upTo: 0, ahead: new Set(), silentBeats: 0 };
      this.senders.set(from, sender);
    }
    sender.silentBeats = 0;
    return sender;
  }
}

function catchUp(sender: Sender): void {
  while (sender.ahead.delete(sender.upTo + 1)) sender.upTo++;
}
