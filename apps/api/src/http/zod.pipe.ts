import type { ArgumentMetadata, PipeTransform } from '@nestjs/common';
import { ApiBody, ApiQuery } from '@nestjs/swagger';
import { z } from 'zod';
import { RequestInvalidError } from './errors.js';

/** Checks a body or query against a schema and hands on the parsed value. */
export class ZodPipe<Schema extends z.ZodType> implements PipeTransform<unknown, z.output<Schema>> {
  constructor(private readonly schema: Schema) {}

  transform(value: unknown, argument: Partial<ArgumentMetadata> = {}): z.output<Schema> {
    const parsed = this.schema.safeParse(value ?? {});
    if (parsed.success) return parsed.data;
    throw new RequestInvalidError(
      parsed.error.issues.map((issue) => ({
        path: issue.path.join('.') || (argument.data ?? `(${argument.type ?? 'body'})`),
        message: issue.message,
      })),
    );
  }
}

type OpenApiSchema =
  Exclude<Parameters<typeof ApiBody>[0], { type: unknown }> extends { schema: infer S } ? S : never;

/** A schema as OpenAPI shows it. */
export function openApiSchema(schema: z.ZodType): OpenApiSchema {
  const { $schema: _dialect, ...json } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  return json as OpenApiSchema;
}

/** Describes a JSON body in OpenAPI. */
export function ZodBody(schema: z.ZodType): MethodDecorator {
  return ApiBody({ schema: openApiSchema(schema) });
}

/** Describes the query parameters of an object schema in OpenAPI. */
export function ZodQuery(schema: z.ZodObject): MethodDecorator {
  return (target, key, descriptor) => {
    for (const [name, property] of Object.entries(schema.shape)) {
      const type = property as z.ZodType;
      const required = !type.safeParse(undefined).success;
      ApiQuery({ name, required, schema: openApiSchema(type) })(target, key, descriptor);
    }
  };
}
