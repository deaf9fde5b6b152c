/** Injection token of the application's {@link ServiceConnections}. */
export const SERVICES = Symbol('ServiceConnections');
