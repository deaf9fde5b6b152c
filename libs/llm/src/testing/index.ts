export { type ChatModelSubject, chatModelContract } from './chat-model.contract.js';
export { type EmbeddingModelSubject, embeddingModelContract } from './embedding-model.contract.js';
export { type OpenAiBehaviour, OpenAiServer, type ReceivedRequest } from './openai-server.js';
export { ScriptedChatModel, type ScriptedReply } from './scripted-chat.model.js';
