import { MemoryJobTurns } from '../../src/queue/turns/memory-job-turns.js';
import { jobTurnsContract } from './job-turns.contract.js';
import { STORES } from './queue-store.js';

jobTurnsContract('MemoryJobTurns', async () => {
  const turns = new MemoryJobTurns();
  return { turns, close: () => turns.close() };
});

for (const [name, create] of Object.entries(STORES))
  jobTurnsContract(`turns in ${name}`, async () => {
    const store = await create();
    const backend = store.open();
    return {
      turns: backend.turns,
      close: async () => {
        await backend.close();
        await store.drop();
      },
    };
  });
