import type { BusMessage } from '../ports/invalidation-bus.port.js';

/** The listeners of a bus, and whether it is connected: what every adapter of `InvalidationBus` keeps. */
export abstract class ListenedBus {
  private readonly messageListeners = new Set<(message: BusMessage) => void>();
  private readonly connectionListeners = new Set<(connected: boolean) => void>();

  constructor(private isConnected: boolean) {}

  get connected(): boolean {
    return this.isConnected;
  }

  subscribe(listener: (message: BusMessage) => void): () => void {
    return joined(this.messageListeners, listener);
  }

  onConnection(listener: (connected: boolean) => void): () => void {
    return joined(this.connectionListeners, listener);
  }

  protected tell(message: BusMessage): void {
    for (const listener of this.messageListeners) listener(message);
  }

  protected noteConnected(connected: boolean): void {
    if (this.isConnected === connected) return;
    this.isConnected = connected;
    for (const listener of this.connectionListeners) listener(connected);
  }
}

/** Adds a listener; the function returned removes it. */
export function joined<Listener>(listeners: Set<Listener>, listener: Listener): () => void {
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
  };
}
