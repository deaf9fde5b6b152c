import { describe, expect, it } from 'vitest';
import { describeTurn, toMermaid } from '../src/index.js';
import { drawTurn } from './draw-turn.js';

const DOCS = new URL('../../../docs/', import.meta.url).pathname;

/** After a change of the machine, `npx vitest run -u test/orchestrator-picture.spec.ts` draws it anew. */
describe('the picture of the orchestrator in the docs', () => {
  it('is that of the machine in the code', async () => {
    await expect(drawTurn(describeTurn())).toMatchFileSnapshot(`${DOCS}orchestrator.svg`);
    await expect(toMermaid()).toMatchFileSnapshot(`${DOCS}orchestrator.mmd`);
  });

  it('shows every state, what is done in it, and every cause', () => {
    const picture = drawTurn(describeTurn());
    const { states, transitions } = describeTurn();
    for (const { name, does } of states) {
      expect(picture).toContain(`>${name}</text>`);
      if (does) expect(picture).toContain(`>${does}</text>`);
    }
    for (const { cause, to } of transitions)
      if (to !== cause) expect(picture).toContain(cause.replaceAll('_', ' '));
  });
});
