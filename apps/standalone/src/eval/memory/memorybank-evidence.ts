/**
 * Where the answers to MemoryBank's probing questions are: for each user, in the order of the data, and each question,
 * the days (1 to 10) that hold the answer. Labelled for this project by reading the Chinese dialogues, before anything
 * was measured; the English ones are their translation, day by day. Of a question that a whole habit answers, every
 * day that states it counts.
 */
export const LABELLED_DAYS: readonly (readonly (readonly number[])[])[] = [
  [[4], [5], [7], [2], [4], [6], [8]],
  [[1], [2], [3], [9], [10], [4], [2]],
  [[1], [3], [2], [4], [7], [6], [2]],
  [[2], [1], [7], [5], [1, 2, 5], [4], [8]],
  [[2], [3], [1, 2], [1], [5], [6], [8]],
  [[10], [10], [1], [2], [6], [5], [8]],
  [[2], [3], [2], [4], [9], [8], [10]],
  [[1], [10], [6], [2], [1], [9], [6]],
  [[1], [4], [4], [8], [10], [2], [6]],
  [[2], [8], [9], [8], [6], [4], [7]],
  [[1], [1], [9], [4], [7], [6], [8]],
  [[4], [4], [4], [6], [2], [1]],
  [[1], [1], [4], [3], [8]],
  [[2], [4], [8], [7], [2]],
  [[1], [6], [6], [7], [7], [8], [10]],
];
