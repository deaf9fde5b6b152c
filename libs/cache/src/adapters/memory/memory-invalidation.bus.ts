import type { BusMessage, InvalidationBus } from '../../ports/invalidation-bus.port.js';

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
export class MemoryInvalidationBus implements InvalidationBus {
  private readonly listeners = new Set<(message: BusMessage) => void>();
  private readonly connectionListeners = new Set<(connected: boolean) => void>();
  private isConnected = true;

  constructor(private readonly hub: MemoryBusHub = new MemoryBusHub()) {
    hub.join(this);
  }

  get connected(): boolean {
    return this.isConnected;
  }

  /** Cuts this bus off, or brings it back. What is published meanwhile is lost. */
  setConnected(connected: boolean): void {
    if (connected === this.isConnected) return;
    this.isConnected = connected;
    for (const listener of this.connectionListeners) listener(connected);
  }

  async publish(message: BusMessage): Promise<void> {
    if (this.isConnected) this.hub.deliver(this, message);
  }

  subscribe(listener: (message: BusMessage) => void): () => void {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  onConnection(listener: (connected: boolean) => void): () => void {
    this.connectionListeners.add(listener);
    return () => {
      this.connectionListeners.delete(listener);
    };
  }

  receive(message: BusMessage): void {
    if (!this.isConnected) return;
    for (const listener of this.listeners) listener(message);
  }
}
