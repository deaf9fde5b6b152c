import { ConversationEntity, ConversationSummaryEntity, MessageEntity } from './conversation.entity.js';
import { ChunkEntity, DocumentEntity, JobEntity } from './document.entity.js';
import {
  EdgeEvidenceEntity,
  GraphChangeEntity,
  KnowledgeEdgeEntity,
  KnowledgeNodeEntity,
  NodeAliasEntity,
  NodeMentionEntity,
} from './knowledge.entity.js';
import { StudyRecordEntity, UserNodeStatusEntity } from './learning.entity.js';
import { TenantEntity, UserEntity } from './tenant.entity.js';

/** Every entity of the schema, in the order of its tables. */
export const entities = [
  TenantEntity,
  UserEntity,
  ConversationEntity,
  MessageEntity,
  ConversationSummaryEntity,
  DocumentEntity,
  JobEntity,
  ChunkEntity,
  KnowledgeNodeEntity,
  NodeAliasEntity,
  KnowledgeEdgeEntity,
  NodeMentionEntity,
  EdgeEvidenceEntity,
  GraphChangeEntity,
  UserNodeStatusEntity,
  StudyRecordEntity,
] as const;

export {
  ChunkEntity,
  ConversationEntity,
  ConversationSummaryEntity,
  DocumentEntity,
  EdgeEvidenceEntity,
  GraphChangeEntity,
  JobEntity,
  KnowledgeEdgeEntity,
  KnowledgeNodeEntity,
  MessageEntity,
  NodeAliasEntity,
  NodeMentionEntity,
  StudyRecordEntity,
  TenantEntity,
  UserEntity,
  UserNodeStatusEntity,
};
