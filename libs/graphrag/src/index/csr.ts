/** Compressed sparse rows: the entries of row `r` stand at `offsets[r]` up to `offsets[r + 1]`. */
export interface Csr {
  readonly offsets: Int32Array;
  readonly columns: Int32Array;
}

/** Groups the pairs `(rows[i], columns[i])` by row, keeping their order; `order[k]` is the pair at place `k`. */
export function buildCsr(
  rowCount: number,
  rows: ArrayLike<number>,
  columns: ArrayLike<number>,
): Csr & { readonly order: Int32Array } {
  const offsets = new Int32Array(rowCount + 1);
  for (let i = 0; i < rows.length; i += 1) offsets[rows[i]! + 1]! += 1;
  for (let row = 0; row < rowCount; row += 1) offsets[row + 1]! += offsets[row]!;
  const cursor = offsets.slice();
  const order = new Int32Array(rows.length);
  const grouped = new Int32Array(rows.length);
  for (let i = 0; i < rows.length; i += 1) {
    const at = cursor[rows[i]!]!;
    order[at] = i;
    grouped[at] = columns[i]!;
    cursor[rows[i]!] = at + 1;
  }
  return { offsets, columns: grouped, order };
}
