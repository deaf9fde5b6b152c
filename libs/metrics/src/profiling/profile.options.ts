import { z } from 'zod';
import { ProfileOptionsInvalidError } from '../errors.js';

const seconds = (byDefault: number) => z.coerce.number().int().min(1).max(60).default(byDefault);

/** How long, and how finely, a process is profiled; values may be strings, as a query has them. */
export const profileOptions = {
  cpu: z.strictObject({
    /** 1 to 60; default 10. */
    seconds: seconds(10),
    /** Microseconds between two looks at the stack, 100 to 10,000; default 1,000. */
    intervalMicros: z.coerce.number().int().min(100).max(10_000).default(1_000),
  }),
  heapSampling: z.strictObject({
    /** 1 to 60; default 10. */
    seconds: seconds(10),
    /** Bytes allocated, on average, between two samples, 1,024 to 16 MiB; default 32,768. */
    intervalBytes: z.coerce
      .number()
      .int()
      .min(1_024)
      .max(16 << 20)
      .default(32_768),
  }),
  eventLoop: z.strictObject({
    /** 1 to 60; default 5. */
    seconds: seconds(5),
  }),
} as const;

export type CpuProfileOptions = z.input<typeof profileOptions.cpu>;
export type HeapSamplingOptions = z.input<typeof profileOptions.heapSampling>;
export type EventLoopOptions = z.input<typeof profileOptions.eventLoop>;

/** @throws ProfileOptionsInvalidError naming every wrong option at once. */
export function parseProfileOptions<Kind extends keyof typeof profileOptions>(
  kind: Kind,
  options: unknown,
): z.output<(typeof profileOptions)[Kind]> {
  const result = profileOptions[kind].safeParse(options ?? {});
  if (result.success) return result.data as z.output<(typeof profileOptions)[Kind]>;
  throw new ProfileOptionsInvalidError(
    result.error.issues.map(({ path, message }) => ({ path: path.map(String).join('.'), message })),
  );
}
