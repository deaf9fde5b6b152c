import { createHash } from 'node:crypto';

/** Always the same work: so many hashes, one after the other. */
export default function compute(hashes) {
  let digest = 'seed';
  for (let count = 0; count < hashes; count += 1) digest = createHash('sha256').update(digest).digest('hex');
  return digest;
}
