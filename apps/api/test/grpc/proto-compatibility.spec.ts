import { readFileSync } from 'node:fs';
import { loadSync } from '@grpc/proto-loader';
import { describe, expect, it } from 'vitest';
import { AGENT_PROTO, LOADER_OPTIONS } from '../../src/grpc/grpc-server.js';
import { type Contract, contractOf, incompatibilities } from './proto-compatibility.js';

/** The first version, as clients have it. It is never made again: fields that came later are guarded by its successor. */
const FIRST: Contract = JSON.parse(readFileSync(new URL('agent-v1.json', import.meta.url), 'utf8'));
const now = () => contractOf(loadSync(AGENT_PROTO, LOADER_OPTIONS));

describe('sparkle.agent.v1', () => {
  it('is what its first clients were built from, and perhaps more', () => {
    expect(Object.keys(FIRST.services)).toEqual(['sparkle.agent.v1.AgentService']);
    expect(incompatibilities(FIRST, now())).toEqual([]);
  });

  it('would be found out if it changed a field, a method or a message, or lost one', () => {
    const current = now();
    const changed = (change: (contract: Contract & Mutable) => void) => {
      const copy = structuredClone(current) as Contract & Mutable;
      change(copy);
      return incompatibilities(current, copy);
    };
    const answer = 'sparkle.agent.v1.Answer';
    expect(changed(({ messages }) => delete messages[answer])).toEqual([`${answer} is gone`]);
    expect(changed(({ messages }) => delete messages[answer]!['2'])).toHaveLength(1);
    expect(
      changed(({ messages }) => {
        messages[answer]!['1'] = 'answer: TYPE_BYTES';
      }),
    ).toEqual([`${answer}, 1: was "answer: TYPE_STRING", is "answer: TYPE_BYTES"`]);
    expect(
      changed(({ services }) => {
        services['sparkle.agent.v1.AgentService']!.Ask = 'AskRequest → stream Answer';
      }),
    ).toHaveLength(1);
    expect(
      changed(({ messages }) => {
        messages[answer]!['99'] = 'more: TYPE_STRING';
        messages['sparkle.agent.v1.More'] = {};
      }),
    ).toEqual([]);
  });
});

interface Mutable {
  readonly services: Record<string, Record<string, string>>;
  readonly messages: Record<string, Record<string, string>>;
}
