import type { BusMessage, InvalidationBus } from '../../ports/invalidation-bus.port.js';
import { ListenedBus } from '../listened-bus.js';

/** Connects the buses of one process, as Redis connects those of several. */
export class MemoryBusHub {
  private readonly members = new Set<MemoryInvalidationBus>();

  join(bus: MemoryInvalidationBus): void {
    this.members.add(bus);
  }

  deliver(sender: MemoryInvalidationBus, message: BusMessage): void {
    for (const member of this.members) if (member !== sender) member.receive(message);
  }
}

/** The bus of embedded mode, where there is one process, and of tests, where a hub stands for the network. */
export class MemoryInvalidationBus extends ListenedBus implements InvalidationBus {
  constructor(private readonly hub: MemoryBusHub = new MemoryBusHub()) {
    super(true);
    hub.join(this);
  }

  /** Cuts this bus off, or brings it back. What is published meanwhile is lost. */
  setConnected(connected: boolean): void {
    this.noteConnected(connected);
  }

  async publish(message: BusMessage): Promise<void> {
    if (this.connected) this.hub.deliver(this, message);
  }

  receive(message: BusMessage): void {
    if (this.connected) this.tell(message);
  }
}
