export { upperLimit } from './exact-binomial.js';
export {
  fieldsOf,
  type Half,
  halfOf,
  type LabelledPair,
  questionPairs,
  sentencePairs,
} from './labelled-pairs.js';
export {
  cosineServing,
  dot,
  type Embeddings,
  type Serving,
  sparkleServing,
  sumOf,
  type Tally,
  tallyOf,
} from './serving.js';
