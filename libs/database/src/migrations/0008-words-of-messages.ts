import type { SchemaMigration } from '@sparkle/contracts';

/**
 * The words of a message, as `@sparkle/conversation` finds them: stems of words and pairs of Chinese characters,
 * which no text search configuration of PostgreSQL makes. Null for messages from before; the worker fills those in.
 * No index: a question asks for the words of one conversation, whose rows the primary key finds.
 */
export const wordsOfMessages: SchemaMigration = {
  name: '0008-words-of-messages',
  statements: [
    'ALTER TABLE messages ADD COLUMN words tsvector',
    // A vector of 512 floats is just too long to stay in its row by default; reading a conversation's vectors out of
    // line takes five times as long.
    'ALTER TABLE messages ALTER COLUMN embedding SET STORAGE MAIN',
  ],
};
