import type { Clock } from '@sparkle/contracts';
import type { Cluster, Redis } from 'ioredis';
import { CallBudget } from '../../core/call-budget.js';
import { ScriptReplyError } from '../../errors.js';
import type { LuaReply, LuaScript } from '../../lua/lua-script.js';

/** A connection the application made and will close. Never one in subscriber mode. */
export type RedisClient = Redis | Cluster;

function isUnknownScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}

/**
 * Runs scripts by digest. A server that does not know one yet (first use, restart, fail-over) gets its source
 * through EVAL, which reaches the right node of a cluster and keeps it.
 */
export class RedisScripts {
  private readonly budget: CallBudget;

  constructor(
    private readonly client: RedisClient,
    clock: Clock,
    /** Milliseconds after which a call counts as failed. */
    readonly budgetMs: number,
  ) {
    this.budget = new CallBudget(clock, budgetMs);
  }

  get isCluster(): boolean {
    return this.client.isCluster;
  }

  /** Rejects with whatever failed, {@link StoreTimeoutError} and {@link ScriptReplyError} included. */
  run<Parameters, Result>(
    script: LuaScript<Parameters, Result>,
    keys: readonly string[],
    parameters: Parameters,
  ): Promise<Result> {
    return this.withinBudget(this.call(script, keys, parameters));
  }

  /** Rejects with {@link StoreTimeoutError} when `call` takes longer than the budget. */
  withinBudget<T>(call: Promise<T>): Promise<T> {
    return this.budget.bound(call);
  }

  /** Deletes keys of one hash slot. */
  async delete(keys: readonly string[]): Promise<void> {
    await this.withinBudget(this.client.del(...keys));
  }

  private async call<Parameters, Result>(
    script: LuaScript<Parameters, Result>,
    keys: readonly string[],
    parameters: Parameters,
  ): Promise<Result> {
    const args = [...keys, ...script.argumentsOf(parameters)];
    let reply: LuaReply;
    try {
      reply = (await this.client.evalsha(script.sha1, keys.length, ...args)) as LuaReply;
    } catch (error) {
      if (!isUnknownScript(error)) throw error;
      reply = (await this.client.eval(script.source, keys.length, ...args)) as LuaReply;
    }
    const result = script.parse(reply, parameters);
    if (result === undefined) throw new ScriptReplyError(script.name);
    return result;
  }
}
