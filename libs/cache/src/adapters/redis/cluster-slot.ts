const SLOTS = 16_384;

/**
 * The slot of a hash tag: CRC-16/XMODEM modulo 16,384 (Redis Cluster specification, "Key distribution model").
 * @param hashTag what stands between the braces of a key; ASCII
 */
export function clusterSlot(hashTag: string): number {
  let crc = 0;
  for (let index = 0; index < hashTag.length; index++) {
    crc ^= hashTag.charCodeAt(index) << 8;
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return crc % SLOTS;
}
