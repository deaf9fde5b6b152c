/** How much of the processors is used. */
export interface CpuUsage {
  /**
   * The share since the last call, 0 to 1; `undefined` while it is not known, e.g. at the first call. The limit
   * stays as it is then.
   */
  read(): number | undefined;
}

/** Injection token of the {@link CpuUsage} port. */
export const CpuUsage = Symbol('CpuUsage');
