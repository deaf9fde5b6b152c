import { Inject, Injectable } from '@nestjs/common';
import { TenantDatabase, type TenantId } from '@sparkle/contracts';
import { readMastered, readPrerequisites } from '../adapters/postgres/learning.store.js';
import { findNodes, nearestNames } from '../adapters/postgres/node-search.store.js';
import { ArgumentInvalidError, NodeNotFoundError } from '../errors.js';
import { GraphragOptions } from '../graphrag.options.js';
import { type LearningPath, planLearningPath } from './learning-path.js';

export interface LearningPathRequest {
  readonly tenantId: TenantId;
  readonly userId: string;
  /** An id, a name or an alias. */
  readonly target: string;
  /** What the learner says to have mastered (ids, names or aliases; 200 at most), besides what is recorded. */
  readonly mastered?: readonly string[];
}

const MAX_MASTERED = 200;

/** Plans the way from what a learner has mastered to what they want to learn. */
@Injectable()
export class LearningPathService {
  constructor(
    @Inject(TenantDatabase) private readonly database: TenantDatabase,
    @Inject(GraphragOptions) private readonly options: GraphragOptions,
  ) {}

  /**
   * The prerequisites still missing for `target`, in an order to learn them in; see {@link planLearningPath}.
   * @throws NodeNotFoundError with the nearest names, for the target as for each concept in `mastered`.
   * @throws ArgumentInvalidError when `mastered` is too long.
   */
  async plan(request: LearningPathRequest): Promise<LearningPath> {
    const { tenantId, userId } = request;
    const said = (request.mastered ?? []).map((reference) => reference.replaceAll('\u0000', ''));
    const target = request.target.replaceAll('\u0000', '');
    if (said.length > MAX_MASTERED)
      throw new ArgumentInvalidError(`"mastered" takes at most ${MAX_MASTERED} concepts.`);
    const minConfidence = this.options.prerequisiteConfidence;
    return this.database.withTenant(tenantId, async (sql) => {
      const found = await findNodes(sql, tenantId, [...new Set([target, ...said])]);
      for (const reference of [target, ...said])
        if (!found.has(reference))
          throw new NodeNotFoundError(reference, await nearestNames(sql, tenantId, reference));
      const targetId = found.get(target)!.id;
      const graph = await readPrerequisites(sql, tenantId, targetId, minConfidence);
      const mastered = await readMastered(sql, tenantId, userId, [...graph.nodes.keys()]);
      for (const reference of said) mastered.add(found.get(reference)!.id);
      return planLearningPath(graph, targetId, mastered, { minConfidence });
    });
  }
}
