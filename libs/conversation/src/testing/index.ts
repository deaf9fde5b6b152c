export { BagOfWordsEmbeddingModel } from './bag-of-words-embedding.model.js';
export { RecordingSummaryRequests } from './recording-summary-requests.js';
export { type Script, ScriptedChatModel } from './scripted-chat-model.js';
export { ScriptedRetriever } from './scripted-retriever.js';
