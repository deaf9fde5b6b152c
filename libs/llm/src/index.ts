export {
  type ChatChunk,
  type ChatMessage,
  ChatModel,
  type ChatRequest,
  type ChatResult,
  type ContextPassage,
  type TokenUsage,
  type ToolCall,
  type ToolDefinition,
} from './ports/chat-model.port.js';
export { EmbeddingModel, type EmbedRequest } from './ports/embedding-model.port.js';
