export { LocalEmbeddingModel, type LocalEmbeddingOptions } from './adapters/local/local-embedding.model.js';
export { LocalExtractiveChatModel } from './adapters/local/local-extractive-chat.model.js';
export {
  OpenAICompatibleChatModel,
  type OpenAICompatibleChatOptions,
} from './adapters/openai-compatible/openai-compatible-chat.model.js';
export {
  OpenAICompatibleEmbeddingModel,
  type OpenAICompatibleEmbeddingOptions,
} from './adapters/openai-compatible/openai-compatible-embedding.model.js';
export { CachedEmbeddingModel, type CachedEmbeddingOptions } from './core/cached-embedding.model.js';
export type { CallPolicyOptions } from './core/call-policy.js';
export { type CitationCheck, checkCitations } from './core/citation-check.js';
export { ResilientChatModel, type ResilientChatOptions } from './core/resilient-chat.model.js';
export { ResilientEmbeddingModel, type ResilientEmbeddingOptions } from './core/resilient-embedding.model.js';
export {
  generateStructured,
  type OutputIssue,
  type OutputSchema,
  parseStructuredOutput,
  type StructuredOptions,
  type StructuredResult,
} from './core/structured-output.js';
export { countTokens, truncateToTokens } from './core/token-count.js';
export { costOf, promptTokens } from './core/token-price.js';
export { type AnswerLanguage, isUnsupportedAnswer, UNSUPPORTED_ANSWER } from './core/unsupported-answer.js';
export {
  isLlmError,
  LlmAuthFailedError,
  LlmBadResponseError,
  LlmBreakerOpenError,
  LlmBudgetExceededError,
  LlmContextTooLongError,
  LlmError,
  LlmInputInvalidError,
  LlmOptionsInvalidError,
  LlmRateLimitedError,
  LlmRequestRejectedError,
  LlmTextsRejectedError,
  LlmTimeoutError,
  LlmUnavailableError,
} from './errors.js';
export { LlmModule } from './llm.module.js';
export { type LlmModuleOptions, parseLlmOptions } from './llm.options.js';
export {
  type ChatChunk,
  type ChatMessage,
  ChatModel,
  type ChatRequest,
  type ChatResult,
  type ContextPassage,
  type TokenPrice,
  type TokenUsage,
  type ToolCall,
  type ToolDefinition,
} from './ports/chat-model.port.js';
export { EmbeddingModel, type EmbedRequest } from './ports/embedding-model.port.js';
export { type AdmissionGrant, type AdmissionRequest, ModelAdmission } from './ports/model-admission.port.js';
export { type AnswerPromptInput, answerPrompt, renderPassages } from './prompts/answer.v1.js';
export { type Prompt, promptDigest } from './prompts/prompt.js';
export { type SummarisePromptInput, summarisePrompt } from './prompts/summarise.v1.js';
