import type { z } from 'zod';

/** One `path: what is wrong` per problem, in order; never a value. */
export function describeProblems(error: z.ZodError): string[] {
  return error.issues.map((issue) => `${issue.path.join('.') || '(root)'}: ${issue.message}`);
}
