import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { parseStructuredOutput } from './structured-output.js';

const schema = z.object({ entities: z.array(z.string()) });

describe('reading structured output', () => {
  it.each([
    ['{"entities":["a"]}'],
    ['```json\n{"entities":["a"]}\n```'],
    ['Here you are:\n```\n{"entities":["a"]}\n```\nAnything else?'],
    ['Sure! {"entities":["a"]} Done.'],
  ])('finds the JSON in %j', (text) => {
    expect(parseStructuredOutput(text, schema, 'm')).toEqual({ entities: ['a'] });
  });

  it.each([
    ['no JSON at all', 'no valid JSON'],
    ['{"entities": [', 'no valid JSON'],
    ['{"entities": "a"}', 'does not fit the schema'],
    ['[1, 2]', 'does not fit the schema'],
  ])('refuses %j', (text, reason) => {
    const read = () => parseStructuredOutput(text, schema, 'm');
    expect(read).toThrow(expect.objectContaining({ code: 'LLM_BAD_RESPONSE' }));
    expect(read).toThrow(reason);
  });
});
