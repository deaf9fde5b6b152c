import { Column, Entity, PrimaryColumn } from 'typeorm';

/** An organisation that uses Sparkle. */
@Entity('tenants')
export class TenantEntity {
  @PrimaryColumn({ type: 'text' })
  id: string;

  @Column({ type: 'text' })
  name: string;

  @Column({ type: 'text', default: 'active' })
  status: string;

  @Column({ type: 'jsonb', nullable: true })
  plan: Record<string, unknown> | null;

  /** A 64-bit number as text. */
  @Column({ type: 'bigint', name: 'corpus_version', default: 0 })
  corpusVersion: string;

  @Column({ type: 'timestamptz', name: 'created_at', default: () => 'now()' })
  createdAt: Date;
}

/** A learner or teacher of a tenant. */
@Entity('users')
export class UserEntity {
  @PrimaryColumn({ type: 'text', name: 'tenant_id' })
  tenantId: string;

  @PrimaryColumn({ type: 'text' })
  id: string;

  @Column({ type: 'text', name: 'display_name', nullable: true })
  displayName: string | null;

  @Column({ type: 'text', default: 'active' })
  status: string;

  @Column({ type: 'timestamptz', name: 'created_at', default: () => 'now()' })
  createdAt: Date;
}
