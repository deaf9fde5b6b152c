import { describe, expect, it } from 'vitest';
import { GraphragOptionsInvalidError } from './errors.js';
import { parseGraphragOptions } from './graphrag.options.js';

describe('options', () => {
  it('need nothing', () => {
    expect(parseGraphragOptions(undefined)).toMatchObject({
      maxDocumentBytes: 5 * 1024 * 1024,
      efSearch: 100,
      prerequisiteConfidence: 0.8,
    });
  });

  it('are refused with every wrong path at once and without their values', () => {
    const wrong = () => parseGraphragOptions({ efSearch: 'hunter2', masteryThreshold: 2, snapshots: 1 });
    expect(wrong).toThrow(GraphragOptionsInvalidError);
    expect(wrong).toThrow(/efSearch.*masteryThreshold.*snapshots/s);
    expect(wrong).not.toThrow(/hunter2/);
  });
});
