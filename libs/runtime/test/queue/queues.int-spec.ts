import { STORES } from './queue-store.js';
import { queuesContract } from './queues.contract.js';

for (const [name, create] of Object.entries(STORES)) queuesContract(name, create);
