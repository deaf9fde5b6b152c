import type { SchemaMigration } from '@sparkle/contracts';
import { APPLICATION_ROLE } from '../core/tenant-isolation.js';

/** First half of the advisory locks that a bucket's writers share and its fence takes alone; "shbd". */
export const BUCKET_LOCK = 0x73686264;

/** First half of the advisory locks, in the catalogue, of the movers of a bucket; "shmv". */
export const MOVER_LOCK = 0x73686d76;

/** Transaction-local setting with the key whose rows need no check, because {@link shardMigrations} claimed it. */
export const CLAIMED_KEY_SETTING = 'sparkle.shard_key';

/** SQLSTATE of a write to a bucket that the server does not own. */
export const FOREIGN_BUCKET = 'SB001';

/** The bucket map. Applied to the one database that holds the catalogue. */
export const shardCatalogueMigrations: readonly SchemaMigration[] = [
  {
    name: '0006-shard-buckets',
    statements: [
      `CREATE TABLE shard_map (
        singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
        id uuid NOT NULL DEFAULT gen_random_uuid(),
        policy text NOT NULL,
        buckets integer NOT NULL CHECK (buckets BETWEEN 1 AND 65536),
        granted boolean NOT NULL DEFAULT false
      )`,
      `CREATE TABLE shards (
        name text PRIMARY KEY,
        state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'draining')),
        added_at timestamptz NOT NULL DEFAULT now()
      )`,
      `CREATE TABLE shard_buckets (
        bucket integer PRIMARY KEY,
        shard text NOT NULL REFERENCES shards,
        epoch bigint NOT NULL DEFAULT 1
      )`,
      'CREATE SEQUENCE shard_move_tokens',
      `CREATE TABLE bucket_moves (
        bucket integer PRIMARY KEY REFERENCES shard_buckets,
        source text NOT NULL REFERENCES shards,
        target text NOT NULL REFERENCES shards CHECK (target <> source),
        epoch bigint NOT NULL,
        token bigint NOT NULL,
        phase text NOT NULL DEFAULT 'copying'
          CHECK (phase IN ('copying', 'catching_up', 'cleaning', 'undoing')),
        started_at timestamptz NOT NULL DEFAULT now()
      )`,
    ],
  },
];

/**
 * What each shard has: who it is, which buckets it owns, and the changes of buckets that are leaving it.
 *
 * A transaction *holds* a bucket by a shared advisory lock, which costs no write, and reads its state after
 * that; a fence takes the lock alone. In REPEATABLE READ and SERIALIZABLE the state read would be as old as
 * the transaction, so there it is read FOR SHARE, which fails with 40001 when a fence has changed it since;
 * a reader simply reads the bucket as it was then.
 *
 * States: `owned`; `leaving`, owned and every change is noted; `moved` to the successor, rows still here;
 * `gone`, rows deleted; `incoming`, being filled.
 */
export const shardMigrations: readonly SchemaMigration[] = [
  {
    name: '0006-shard-ownership',
    statements: [
      `CREATE TABLE shard_identity (
        singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
        name text NOT NULL,
        map_id uuid NOT NULL
      )`,
      `CREATE TABLE shard_ownership (
        bucket integer PRIMARY KEY,
        state text NOT NULL CHECK (state IN ('owned', 'leaving', 'moved', 'gone', 'incoming')),
        epoch bigint NOT NULL,
        successor text,
        token bigint NOT NULL DEFAULT 0,
        copied boolean NOT NULL DEFAULT false
      )`,
      // Bucket numbers alone: what a fan-out for a tenant needs to count rows once.
      `GRANT SELECT ON shard_ownership TO ${APPLICATION_ROLE}`,
      `CREATE TABLE shard_changes (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        bucket integer NOT NULL,
        table_name text NOT NULL,
        row_key text[] NOT NULL
      )`,
      'CREATE INDEX shard_changes_bucket ON shard_changes (bucket, id)',

      `CREATE FUNCTION shard_hold(wanted integer) RETURNS shard_ownership
        LANGUAGE plpgsql SECURITY DEFINER AS $$
      DECLARE
        held shard_ownership;
      BEGIN
        PERFORM pg_advisory_xact_lock_shared(${BUCKET_LOCK}, wanted);
        IF current_setting('transaction_isolation') IN ('read committed', 'read uncommitted')
           OR current_setting('transaction_read_only') = 'on' THEN
          SELECT * INTO held FROM shard_ownership WHERE bucket = wanted;
        ELSE
          SELECT * INTO held FROM shard_ownership WHERE bucket = wanted FOR SHARE;
        END IF;
        RETURN held;
      END $$`,

      // While a bucket is leaving, its key is not set as claimed, so that the triggers see every change.
      `CREATE FUNCTION shard_claim(wanted integer, claimed text)
        RETURNS TABLE (state text, epoch bigint, successor text)
        LANGUAGE plpgsql SECURITY DEFINER AS $$
      DECLARE
        held shard_ownership := shard_hold(wanted);
      BEGIN
        PERFORM set_config('${CLAIMED_KEY_SETTING}', CASE held.state WHEN 'owned' THEN claimed ELSE '' END, true);
        RETURN QUERY SELECT held.state, held.epoch, held.successor;
      END $$`,

      `CREATE FUNCTION shard_note(changed_table text, changed_bucket integer, changed_key text[]) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER AS $$
      DECLARE
        held shard_ownership := shard_hold(changed_bucket);
      BEGIN
        IF held.state = 'leaving' THEN
          INSERT INTO shard_changes (bucket, table_name, row_key)
            VALUES (changed_bucket, changed_table, changed_key);
        ELSIF held.state IS DISTINCT FROM 'owned' THEN
          RAISE EXCEPTION 'bucket % does not belong to this shard', changed_bucket
            USING ERRCODE = '${FOREIGN_BUCKET}';
        END IF;
      END $$`,

      `CREATE FUNCTION shard_refuse_truncate() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
      BEGIN
        IF EXISTS (SELECT FROM shard_ownership WHERE shard_ownership.state IN ('leaving', 'incoming')) THEN
          RAISE EXCEPTION 'a sharded table cannot be truncated while a bucket is being moved';
        END IF;
        RETURN NULL;
      END $$`,

      `DO $$ DECLARE
        signature text;
      BEGIN
        FOREACH signature IN ARRAY ARRAY['shard_hold(integer)', 'shard_claim(integer, text)',
          'shard_note(text, integer, text[])', 'shard_refuse_truncate()'] LOOP
          EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', signature, current_schema());
          EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', signature);
        END LOOP;
        GRANT EXECUTE ON FUNCTION shard_claim(integer, text) TO ${APPLICATION_ROLE};
      END $$`,
    ],
  },
];
