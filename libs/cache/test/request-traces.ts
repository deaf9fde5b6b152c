import { SeededRandom } from '@sparkle/contracts/testing';

/** `count` requests of keys whose popularity falls as their rank to the power of `skew`. */
export function zipf(skew: number, keys: number, count: number, seed: number): string[] {
  const random = new SeededRandom(seed);
  const upTo = new Float64Array(keys);
  let sum = 0;
  for (let rank = 0; rank < keys; rank++) {
    sum += 1 / (rank + 1) ** skew;
    upTo[rank] = sum;
  }
  const draw = () => {
    const point = random.next() * sum;
    let [low, high] = [0, keys - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (upTo[middle]! < point) low = middle + 1;
      else high = middle;
    }
    return `z${low}`;
  };
  return Array.from({ length: count }, draw);
}

/** `count` requests of equally popular keys. */
export function uniform(keys: number, count: number, seed: number): string[] {
  const random = new SeededRandom(seed);
  return Array.from({ length: count }, () => `u${Math.floor(random.next() * keys)}`);
}

/** `count` requests of one key after the other, over and over. */
export function scan(keys: number, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `s${index % keys}`);
}

/** `count` requests of equally popular keys, a quarter of which is replaced every `stayFor` requests. */
export function shiftingHotSet(keys: number, stayFor: number, count: number, seed: number): string[] {
  const random = new SeededRandom(seed);
  return Array.from({ length: count }, (_, index) => {
    const first = (Math.floor(index / stayFor) * keys) / 4;
    return `h${Math.floor(first + random.next() * keys)}`;
  });
}
