/** Something an operator or a developer should look at. Its message holds no values and no tenant's data. */
export interface DatabaseWarning {
  /**
   * `held`: a connection is kept for too long. `saturated`: few connections are left. `repeated_query`: a
   * request repeats a statement (development only). `replica`: one was given up, or serves again.
   */
  readonly kind: 'held' | 'saturated' | 'repeated_query' | 'replica';
  readonly message: string;
}
