export type {
  DueCommunities,
  SummarisedCommunity,
  SummaryPoint,
} from './adapters/postgres/community.store.js';
export type { DocumentState, DocumentView, RecordedError } from './adapters/postgres/document.store.js';
export { graphragMigrations } from './adapters/postgres/graphrag-migrations.js';
export type { IngestionCost, JobState, JobView } from './adapters/postgres/job.store.js';
export type { EntityHit } from './adapters/postgres/node-search.store.js';
export { PgVectorIndex } from './adapters/postgres/pg-vector-index.js';
export type { EntityResolution, ResolutionKind } from './adapters/postgres/resolution.store.js';
export { readSnapshot } from './adapters/postgres/snapshot.store.js';
export { type CorpusStatistics, SqlGraphReader } from './adapters/postgres/sql-graph-reader.js';
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
  type CommunityRefresh,
  type CommunitySearch,
  type CommunitySearchRequest,
  CommunityService,
} from './communities/community.service.js';
export {
  buildCommunityContext,
  type CommunityContext,
  type CommunityContextOptions,
} from './communities/community-context.js';
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
  DocumentCorruptError,
  DocumentDeletedError,
  DocumentEmptyError,
  DocumentEncodingInvalidError,
  DocumentEncryptedError,
  DocumentError,
  DocumentFormatInvalidError,
  DocumentFormatMismatchError,
  DocumentNotFoundError,
  DocumentQuotaExceededError,
  DocumentReaderFailedError,
  DocumentTitleInvalidError,
  DocumentTooComplexError,
  DocumentTooDeepError,
  DocumentTooLargeError,
  DocumentWithoutTextError,
  GraphragError,
  GraphragOptionsInvalidError,
  JobNotFoundError,
  NodeNotFoundError,
  QueryInvalidError,
  ResolutionNotFoundError,
  ResolutionRefusedError,
  SnapshotTooLargeError,
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
  type CorpusContext,
  type CorpusEvaluationInput,
  type CorpusEvaluationRow,
  runCorpusEval,
} from './eval/run-corpus-eval.js';
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
  type GivenContext,
  type RetrievalEvaluation,
  type RetrievalEvaluationInput,
  type RetrievalOutcome,
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
export {
  type ExtractedPassages,
  type ExtractionRequest,
  type ExtractionUsage,
  Extractor,
  type PassagesRequest,
} from './extract/extractor.port.js';
export { ModelExtractor, type ModelExtractorOptions } from './extract/model-extractor.js';
export { NameDictionary } from './extract/name-dictionary.js';
export { PreparedExtractor, type PreparedPassage } from './extract/prepared-extractor.js';
export { RuleBasedExtractor } from './extract/rule-based-extractor.js';
export { GraphragModule } from './graphrag.module.js';
export type { GraphragModuleExtras } from './graphrag.module-definition.js';
export { GraphragOptions, type GraphragOptionsInput, parseGraphragOptions } from './graphrag.options.js';
export { analyse } from './index/analyse.js';
export type {
  GraphReader,
  LexicalHit,
  LexicalMatches,
  ReaderEdge,
  ReaderFact,
  ReaderKind,
  ReaderNode,
} from './index/graph-reader.port.js';
export { buildSnapshot, GraphSnapshot, SnapshotBuilder, snapshotRows } from './index/graph-snapshot.js';
export { factTerms, nameTerms, passageText } from './index/passage-terms.js';
export { SnapshotReader } from './index/snapshot-reader.js';
export { type ChunkableDocument, type ChunkOptions, chunkDocument } from './ingest/chunk-document.js';
export { DocumentService, type DocumentUpload, type Submission } from './ingest/document.service.js';
export { DOCUMENT_FORMATS, type DocumentFormat } from './ingest/document-content.js';
export {
  IngestionService,
  type IngestManyOptions,
  type IngestManyResult,
} from './ingest/ingestion.service.js';
export { INGESTION_STEPS, type IngestionStep } from './ingest/ingestion-step.js';
export { JobService } from './ingest/job.service.js';
export { KnownNames } from './ingest/known-names.js';
export { DocumentReader } from './ingest/read/document-reader.js';
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
export { EmbeddingStrengthService } from './nest/embedding-strength.service.js';
export { GraphService, type Neighbourhood, type NeighbourNode } from './nest/graph.service.js';
export { type Retrieval, RetrievalService, type RetrieveRequest } from './nest/retrieval.service.js';
export { type Freshness, SnapshotProvider, type VersionedSnapshot } from './nest/snapshot-provider.js';
export { JobQueue, type JobTicket } from './ports/job-queue.port.js';
export {
  EntityResolutionService,
  type MergeRequest,
  type ResolutionReason,
  type SplitRequest,
} from './resolve/entity-resolution.service.js';
export type { NodeSpec } from './resolve/resolve-entities.js';
export {
  buildContext,
  type ContextOptions,
  type ContextSource,
  type RetrievalContext,
} from './retrieve/build-context.js';
export { denseShare, type EmbeddingStrength } from './retrieve/embedding-strength.js';
export { findPaths, type PathOptions } from './retrieve/find-paths.js';
export { ModelReranker } from './retrieve/model-reranker.js';
export { Reranker, type RerankRequest } from './retrieve/reranker.port.js';
export {
  RANKING_PARTS,
  type RankingPart,
  type RetrievalDependencies,
  type RetrievalQuery,
} from './retrieve/retrieval-query.js';
export { retrieveGraph } from './retrieve/retrieve-graph.js';
export { retrievePlain } from './retrieve/retrieve-plain.js';
export { asksWholeCorpus, type RoutedQuestion, routeQuestion } from './retrieve/route-question.js';
export type { VectorHit, VectorIndex } from './retrieve/vector-index.port.js';
export { type NodeNaming, pathNaming, verbalisePath } from './retrieve/verbalise-path.js';
