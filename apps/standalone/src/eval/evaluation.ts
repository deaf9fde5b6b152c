/** One of the subcommands of `npm run eval`. */
export interface Evaluation {
  /** How to call it. */
  readonly usage: string;
  /**
   * Reads its options from the command line and runs.
   * @throws UsageError for wrong words.
   */
  run(): Promise<void>;
}
