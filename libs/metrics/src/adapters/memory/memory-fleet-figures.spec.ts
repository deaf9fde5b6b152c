import { TestClock } from '@sparkle/contracts/testing';
import { describe } from 'vitest';
import { fleetFiguresContract } from '../../testing/fleet-figures.contract.js';
import { MemoryFleetFigures } from './memory-fleet-figures.js';

describe('MemoryFleetFigures', () => {
  fleetFiguresContract(async () => {
    const clock = new TestClock();
    return {
      store: new MemoryFleetFigures(clock, 15_000),
      ttlMs: 15_000,
      age: (ms) => clock.advance(ms),
    };
  });
});
