import { Column, Entity, JoinColumn, ManyToOne, PrimaryColumn, type Relation } from 'typeorm';
import { KnowledgeNodeEntity } from './knowledge.entity.js';

/** How well a user masters a node, from 0 to 1. */
@Entity('user_node_status')
export class UserNodeStatusEntity {
  @PrimaryColumn({ type: 'text', name: 'tenant_id' })
  tenantId: string;

  @PrimaryColumn({ type: 'text', name: 'user_id' })
  userId: string;

  @PrimaryColumn({ type: 'uuid', name: 'node_id' })
  nodeId: string;

  @Column({ type: 'boolean', default: false })
  mastered: boolean;

  @Column({ type: 'real', name: 'mastery_level', default: 0 })
  masteryLevel: number;

  @Column({ type: 'timestamptz', name: 'last_review_date', nullable: true })
  lastReviewDate: Date | null;

  @ManyToOne(() => KnowledgeNodeEntity, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'tenant_id', referencedColumnName: 'tenantId' },
    { name: 'node_id', referencedColumnName: 'id' },
  ])
  node: Relation<KnowledgeNodeEntity>;
}

/** One learning activity. Partitioned by month of `studyTime`. */
@Entity('study_records')
export class StudyRecordEntity {
  @Column({ type: 'text', name: 'tenant_id' })
  tenantId: string;

  @PrimaryColumn({ type: 'uuid' })
  id: string;

  @Column({ type: 'text', name: 'user_id' })
  userId: string;

  @Column({ type: 'uuid', name: 'node_id', nullable: true })
  nodeId: string | null;

  @Column({ type: 'text' })
  activity: string;

  @Column({ type: 'integer', name: 'duration_seconds' })
  durationSeconds: number;

  @Column({ type: 'real', nullable: true })
  score: number | null;

  @PrimaryColumn({ type: 'timestamptz', name: 'study_time' })
  studyTime: Date;

  @Column({ type: 'timestamptz', name: 'created_at', default: () => 'now()' })
  createdAt: Date;
}
