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
    // Text, words and a vector of 512 floats together are longer than what PostgreSQL keeps in a row by default, and
    // recall reads all of a conversation: out of line, that takes five times as long.
    'ALTER TABLE messages SET (toast_tuple_target = 8160)',
  ],
};
