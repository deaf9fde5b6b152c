import 'reflect-metadata';
import { answersEvaluation } from '../eval/answers.js';
import { corpusEvaluation } from '../eval/corpus.js';
import type { Evaluation } from '../eval/evaluation.js';
import { memoryEvaluation } from '../eval/memory/memory.js';
import { paraphraseEvaluation } from '../eval/paraphrase.js';
import { pathsEvaluation } from '../eval/paths.js';
import { retrievalEvaluation } from '../eval/retrieval.js';
import { runCommand, UsageError } from './command.js';

const EVALUATIONS: Readonly<Record<string, Evaluation>> = {
  retrieval: retrievalEvaluation,
  answers: answersEvaluation,
  paths: pathsEvaluation,
  paraphrase: paraphraseEvaluation,
  corpus: corpusEvaluation,
  memory: memoryEvaluation,
};

await runCommand(async () => {
  const evaluation = EVALUATIONS[process.argv[2] ?? ''];
  if (!evaluation)
    throw new UsageError(
      Object.values(EVALUATIONS)
        .map(({ usage }) => `usage: ${usage}`)
        .join('\n'),
    );
  await evaluation.run();
});
