import { Module } from '@nestjs/common';
import { ChatOrchestrator } from './chat/chat-orchestrator.js';
import { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } from './conversation.module-definition.js';
import {
  CONVERSATION_OPTIONS,
  type ConversationModuleOptions,
  parseConversationOptions,
} from './conversation.options.js';
import { ConversationService } from './conversation.service.js';
import { MemoryService } from './memory/memory.service.js';
import { SummaryService } from './summaries/summary.service.js';

/**
 * Conversations, their memory, and the orchestrator that answers.
 *
 * Needs `TenantDatabase` and `ChatModel`. Uses `Clock`, `EmbeddingModel`, `Retriever`, `Admission`,
 * `SummaryRequests`, `SummaryCache` and `SystemDatabase` where they are provided.
 */
@Module({
  providers: [
    {
      provide: CONVERSATION_OPTIONS,
      useFactory: (options: ConversationModuleOptions) => parseConversationOptions(options),
      inject: [MODULE_OPTIONS_TOKEN],
    },
    ConversationService,
    MemoryService,
    SummaryService,
    ChatOrchestrator,
  ],
  exports: [CONVERSATION_OPTIONS, ConversationService, MemoryService, SummaryService, ChatOrchestrator],
})
export class ConversationModule extends ConfigurableModuleClass {}
