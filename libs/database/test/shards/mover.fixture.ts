/**
 * A process that moves one bucket, given the shards' options, and sends itself a signal when it has come to a
 * step; it prints "ready" when it begins, and "done" or what went wrong in the end.
 */
import { type MoveStep, openShards, parseShardsOptions, type ShardsOptions } from '../../src/index.js';

interface Task {
  readonly options: ShardsOptions;
  readonly bucket: number;
  readonly target: string;
  readonly step?: MoveStep;
  readonly signal?: 'SIGKILL' | 'SIGSTOP';
}

async function move({ options, bucket, target, step, signal }: Task): Promise<void> {
  const shards = await openShards(parseShardsOptions(options));
  process.stdout.write('ready\n');
  await shards.administration.moveBucket(bucket, target, {
    onProgress: (progress) => {
      if (progress.step === step) process.kill(process.pid, signal ?? 'SIGKILL');
    },
  });
  process.stdout.write('done\n');
  await shards.close();
}

move(JSON.parse(process.argv[2]!)).catch((error: unknown) => {
  process.stdout.write(`${String(error)}\n`);
  process.exitCode = 1;
});
