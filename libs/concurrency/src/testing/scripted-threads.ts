import type {
  TaskThread,
  TaskThreads,
  ThreadOutcome,
  ThreadPlace,
  ThreadTask,
} from '../ports/task-threads.port.js';

/** A task that a {@link ScriptedThreads} thread has begun and that a test ends. */
export interface ScriptedTask {
  readonly task: ThreadTask;
  readonly place: ThreadPlace;
  /** Number of its thread, counted from 1. */
  readonly thread: number;
  /** Ends the task; a crash ends its thread, too. */
  finish(outcome: ThreadOutcome): void;
}

/** Threads without threads: tasks begin, and end when the test says so. */
export class ScriptedThreads implements TaskThreads {
  /** Every task that has begun, in order. */
  readonly begun: ScriptedTask[] = [];
  /** Begun and not ended. */
  readonly running = new Set<ScriptedTask>();
  /** Threads that exist; with {@link lingering}, those that are ending, too. */
  existing = 0;
  mostExisting = 0;
  started = 0;
  /** How many threads end only when {@link letGo} is called. */
  lingering = false;
  private readonly held: (() => void)[] = [];

  start(place: ThreadPlace): TaskThread {
    this.started += 1;
    this.existing += 1;
    this.mostExisting = Math.max(this.mostExisting, this.existing);
    const thread = this.started;
    let alive = true;
    let current: ScriptedTask | undefined;
    let ended: Promise<void> | undefined;
    const end = () => {
      alive = false;
      ended ??= new Promise<void>((resolve) => {
        const go = () => {
          this.existing -= 1;
          resolve();
        };
        if (this.lingering) this.held.push(go);
        else go();
      });
      return ended;
    };
    return {
      get alive() {
        return alive;
      },
      run: (task) =>
        new Promise((resolve) => {
          const scripted: ScriptedTask = {
            task,
            place,
            thread,
            finish: (outcome) => {
              if (!this.running.delete(scripted)) return;
              current = undefined;
              if (outcome.kind === 'crashed') void end();
              resolve(outcome);
            },
          };
          current = scripted;
          this.begun.push(scripted);
          this.running.add(scripted);
        }),
      stop: () => {
        alive = false;
        current?.finish({ kind: 'crashed', reason: 'exit', error: new Error('stopped') });
        return end();
      },
    };
  }

  /** Lets the threads that linger go. */
  letGo(): void {
    for (const go of this.held.splice(0)) go();
  }
}
