import { WalPositionInvalidError } from '../errors.js';

const POSITION = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i;

/**
 * A position in the write-ahead log (`pg_lsn`) as a number that can be compared.
 * @throws WalPositionInvalidError when `text` is none.
 */
export function parseWalPosition(text: string): bigint {
  const match = POSITION.exec(text);
  if (!match) throw new WalPositionInvalidError();
  return (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`);
}
