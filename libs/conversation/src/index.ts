export { CacheSummaryCache } from './adapters/cache-summary-cache.js';
export { ChatOrchestrator } from './chat/chat-orchestrator.js';
export {
  isFollowUp,
  type PreviousTurn,
  type StandaloneQuestion,
  standaloneQuestion,
} from './chat/follow-up.js';
export {
  type ActiveTurnState,
  describe as describeTurn,
  isFinal,
  type StateMachineDescription,
  TURN_MACHINE,
  TURN_STATES,
  type TurnArrow,
  type TurnCause,
  type TurnLimits,
  TurnMachine,
  type TurnState,
  type TurnTransition,
  toMermaid,
} from './chat/state-machine.js';
export type { TurnEvent, TurnRequest } from './chat/turn.js';
export { ConversationModule } from './conversation.module.js';
export type { ConversationModuleExtras } from './conversation.module-definition.js';
export {
  CONVERSATION_OPTIONS,
  type ConversationModuleOptions,
  type ConversationOptions,
  parseConversationOptions,
} from './conversation.options.js';
export {
  type AppendMessage,
  type ConversationRef,
  ConversationService,
  type ConversationsPage,
  type CreateConversation,
  type MessagesPage,
} from './conversation.service.js';
export {
  AnswerEmptyError,
  ConversationError,
  ConversationNotFoundError,
  ConversationOptionsInvalidError,
  ConversationTitleInvalidError,
  CursorInvalidError,
  IdempotencyKeyInvalidError,
  IdempotencyKeyReusedError,
  MessageEmptyError,
  MessageInProgressError,
  MessageInvalidError,
  MessageTooLongError,
  PageInvalidError,
  TransitionInvalidError,
  TurnCancelledError,
  TurnLostError,
  TurnTimeoutError,
} from './errors.js';
export {
  type AssembleRequest,
  type MemoryContext,
  MemoryService,
  memoryPassages,
  type RecalledMessage,
  type RememberedMessage,
  type RememberedSummary,
  type SearchRequest,
} from './memory/memory.service.js';
export {
  halfWindow,
  type MemoryPlan,
  type MemoryStrategy,
  needsSummary,
  planMemory,
  type StrategyOptions,
} from './memory/strategy.js';
export type {
  AnswerMetadata,
  Conversation,
  MemoryMetadata,
  Message,
  MessageRole,
  ModelCallRecord,
  RetrievalMetadata,
  ToolCallRecord,
  ToolOutcome,
  Turn,
} from './model.js';
export { Admission, type AdmissionRequest, type AdmissionTicket } from './ports/admission.port.js';
export {
  type Citation,
  type LinkedEntity,
  NoRetriever,
  type Retrieved,
  type RetrieveRequest,
  Retriever,
} from './ports/retriever.port.js';
export {
  type Summary,
  SummaryCache,
  type SummaryCacheKey,
  type SummaryMethod,
  summaryTtlMs,
} from './ports/summary-cache.port.js';
export { type SummaryRequest, SummaryRequests } from './ports/summary-requests.port.js';
export {
  type Tool,
  type ToolContext,
  type ToolOutput,
  type ToolPassage,
  Tools,
} from './ports/tool.port.js';
export type { Note, NoteKind } from './summaries/notes.js';
export {
  type ProcessRequest,
  type ProcessResult,
  SummaryService,
  type WarmupCandidate,
} from './summaries/summary.service.js';
