import type { PackageDefinition } from '@grpc/proto-loader';

/** What a client was built from: services with their methods, messages with their fields, by name. */
export interface Contract {
  readonly services: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly messages: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

interface FieldDescriptor {
  readonly name: string;
  readonly number: number;
  readonly label: string;
  readonly type: string;
  readonly typeName: string;
  readonly proto3Optional?: boolean;
  readonly oneofIndex?: number;
}
interface MessageDescriptor {
  readonly name: string;
  readonly field: readonly FieldDescriptor[];
  readonly nestedType: readonly MessageDescriptor[];
}

/** The part of a package that clients depend on. */
export function contractOf(definition: PackageDefinition): Contract {
  const services: Record<string, Record<string, string>> = {};
  const messages: Record<string, Record<string, string>> = {};
  for (const [name, described] of Object.entries(definition)) {
    if (!name.startsWith('sparkle.')) continue;
    if ('format' in described) addMessage(messages, name, described.type as unknown as MessageDescriptor);
    else
      services[name] = Object.fromEntries(
        Object.entries(described as Record<string, MethodLike>).map(([method, signature]) => [
          method,
          signatureOf(signature),
        ]),
      );
  }
  return { services, messages };
}

interface MethodLike {
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestType: { readonly type: object };
  readonly responseType: { readonly type: object };
}

function signatureOf({ requestStream, responseStream, requestType, responseType }: MethodLike): string {
  const name = ({ type }: { type: object }) => (type as MessageDescriptor).name;
  return `${requestStream ? 'stream ' : ''}${name(requestType)} → ${responseStream ? 'stream ' : ''}${name(responseType)}`;
}

function addMessage(
  messages: Record<string, Record<string, string>>,
  name: string,
  { field, nestedType }: MessageDescriptor,
): void {
  messages[name] = Object.fromEntries(
    field.map(({ name: fieldName, number, label, type, typeName }) => [
      String(number),
      `${fieldName}: ${label === 'LABEL_REPEATED' ? 'repeated ' : ''}${typeName || type}`,
    ]),
  );
  for (const nested of nestedType) addMessage(messages, `${name}.${nested.name}`, nested);
}

/** What a client built from `before` would stumble over; adding is free. */
export function incompatibilities(before: Contract, after: Contract): string[] {
  const found: string[] = [];
  for (const kind of ['services', 'messages'] as const) {
    for (const [name, members] of Object.entries(before[kind])) {
      const now = after[kind][name];
      if (!now) {
        found.push(`${name} is gone`);
        continue;
      }
      for (const [key, was] of Object.entries(members))
        if (now[key] !== was)
          found.push(`${name}, ${key}: was "${was}", is ${now[key] ? `"${now[key]}"` : 'gone'}`);
    }
  }
  return found;
}
