export type { DocumentState, DocumentView, RecordedError } from './adapters/postgres/document.store.js';
export { graphragMigrations } from './adapters/postgres/graphrag-migrations.js';
export type { JobState, JobView } from './adapters/postgres/job.store.js';
export type { EntityHit } from './adapters/postgres/node-search.store.js';
export { PgVectorIndex } from './adapters/postgres/pg-vector-index.js';
export { readSnapshotRows } from './adapters/postgres/snapshot.store.js';
export type { NodeStatus, StudyDay, StudyTotals } from './adapters/postgres/study.store.js';
export {
  type AnswerRequest,
  type Citation,
  type ComposedAnswer,
  checkAnswer,
  citationsFor,
  composeAnswer,
} from './answer/compose-answer.js';
export {
  type Course,
  type CourseConcept,
  type CourseInput,
  courseSchema,
  parseCourse,
} from './course/course.schema.js';
export { CourseLoader, type CourseLoadRequest, type CourseLoadResult } from './course/course-loader.js';
export {
  ArgumentInvalidError,
  CourseInvalidError,
  DocumentBinaryError,
  DocumentDeletedError,
  DocumentEmptyError,
  DocumentEncodingInvalidError,
  DocumentError,
  DocumentFormatInvalidError,
  DocumentNotFoundError,
  DocumentTitleInvalidError,
  DocumentTooDeepError,
  DocumentTooLargeError,
  GraphragError,
  GraphragOptionsInvalidError,
  JobNotFoundError,
  NodeNotFoundError,
  QueryInvalidError,
  StudyRecordInvalidError,
  TenantUnknownError,
} from './errors.js';
export { answerF1, containsAnswer, isExactMatch } from './eval/answer-metrics.js';
export { EvaluationDataInvalidError } from './eval/evaluation-errors.js';
export { bootstrapDifference, type ConfidenceInterval, mean, percentile, recallAt } from './eval/metrics.js';
export {
  type ConceptRecord,
  type CorpusPassage,
  type EvaluationQuestion,
  type OpenieRecord,
  readConcepts,
  readCorpus,
  readOpenie,
  readQuestions,
} from './eval/read-data.js';
export {
  type AnswersEvaluation,
  type AnswersEvaluationInput,
  type EvaluatedAnswer,
  runAnswersEval,
} from './eval/run-answers-eval.js';
export {
  type PathsEvaluationInput,
  type PathsEvaluationRow,
  type PlannedPath,
  runPathsEval,
} from './eval/run-paths-eval.js';
export {
  type EvaluatedRetrieval,
  type EvaluatedSystem,
  type EvaluationRow,
  type RetrievalEvaluation,
  type RetrievalEvaluationInput,
  runRetrievalEval,
} from './eval/run-retrieval-eval.js';
export { type RewordingEvaluationInput, runRewordingEval } from './eval/run-rewording-eval.js';
export {
  acronymOf,
  detectLanguage,
  isAcronymOf,
  normaliseEntityName,
  type TextLanguage,
} from './extract/entity-name.js';
export { type ExtractionRequest, Extractor } from './extract/extractor.port.js';
export { NameDictionary } from './extract/name-dictionary.js';
export { PreparedExtractor, type PreparedPassage } from './extract/prepared-extractor.js';
export { RuleBasedExtractor } from './extract/rule-based-extractor.js';
export { GraphragModule } from './graphrag.module.js';
export type { GraphragModuleExtras } from './graphrag.module-definition.js';
export { GraphragOptions, type GraphragOptionsInput, parseGraphragOptions } from './graphrag.options.js';
export { analyse } from './index/analyse.js';
export {
  applyChanges,
  buildSnapshot,
  type GraphSnapshot,
  type SnapshotChanges,
  snapshotRows,
} from './index/graph-snapshot.js';
export { type ChunkableDocument, type ChunkOptions, chunkDocument } from './ingest/chunk-document.js';
export { DocumentService, type DocumentUpload, type Submission } from './ingest/document.service.js';
export {
  IngestionService,
  type IngestManyOptions,
  type IngestManyResult,
} from './ingest/ingestion.service.js';
export { INGESTION_STEPS, type IngestionStep } from './ingest/ingestion-step.js';
export { JobService } from './ingest/job.service.js';
export { KnownNames } from './ingest/known-names.js';
export {
  type BrokenEdge,
  type LearnableNode,
  type LearningAlternative,
  type LearningPath,
  type LearningResource,
  type LearningStep,
  type PrerequisiteEdge,
  type PrerequisiteGraph,
  planLearningPath,
  type StepReason,
} from './learn/learning-path.js';
export { type LearningPathRequest, LearningPathService } from './learn/learning-path.service.js';
export {
  type StudyProgress,
  type StudyReceipt,
  type StudyRecordInput,
  StudyService,
} from './learn/study.service.js';
export type * from './model.js';
export { type Answer, type AnswerChunk, AnswerService, type AskRequest } from './nest/answer.service.js';
export { GraphService, type Neighbourhood, type NeighbourNode } from './nest/graph.service.js';
export { type Retrieval, RetrievalService, type RetrieveRequest } from './nest/retrieval.service.js';
export { SnapshotProvider, type VersionedSnapshot } from './nest/snapshot-provider.js';
export { JobQueue, type JobTicket } from './ports/job-queue.port.js';
export {
  buildContext,
  type ContextOptions,
  type ContextSource,
  type RetrievalContext,
} from './retrieve/build-context.js';
export { findPaths, type PathOptions } from './retrieve/find-paths.js';
export type { RetrievalDependencies, RetrievalQuery } from './retrieve/retrieval-query.js';
export { retrieveGraph } from './retrieve/retrieve-graph.js';
export { retrievePlain } from './retrieve/retrieve-plain.js';
export type { VectorHit, VectorIndex } from './retrieve/vector-index.port.js';
export { type NodeNaming, nodeNaming, verbalisePath } from './retrieve/verbalise-path.js';
