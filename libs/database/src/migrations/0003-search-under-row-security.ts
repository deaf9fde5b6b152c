import type { SchemaMigration } from '@sparkle/contracts';

/** What the full-text and trigram operators call. None of them fails, or tells, depending on its arguments. */
const SEARCH_FUNCTIONS = [
  'ts_match_vq(tsvector, tsquery)',
  'similarity_op(text, text)',
  'word_similarity_op(text, text)',
  'word_similarity_commutator_op(text, text)',
];

/**
 * Under row-level security PostgreSQL evaluates an operator before the policy, as an index condition does,
 * only when its function is marked leakproof; otherwise `@@` and `%` scan the whole table (measured on 40,000
 * rows: 11 ms instead of 0.02 ms, 364 ms instead of 0.9 ms). The mark is this database's alone and takes a
 * superuser; without one the queries stay right and slow, and the operator can run the same statements.
 */
export const searchUnderRowSecurity: SchemaMigration = {
  name: '0003-search-under-row-security',
  statements: SEARCH_FUNCTIONS.map(
    (signature) => `DO $$ BEGIN
  ALTER FUNCTION ${signature} LEAKPROOF;
EXCEPTION WHEN insufficient_privilege THEN
  RAISE NOTICE 'a superuser has to run: ALTER FUNCTION ${signature} LEAKPROOF';
END $$`,
  ),
};
