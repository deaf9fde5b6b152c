import { execFile } from 'node:child_process';
import { join } from 'node:path';

/** What `promtool` printed and whether it was content. */
export interface PromtoolResult {
  readonly ok: boolean;
  readonly output: string;
}

/** Runs the `promtool` of TEST_PROMETHEUS_BIN. */
export function promtool(...args: readonly string[]): Promise<PromtoolResult> {
  const folder = process.env.TEST_PROMETHEUS_BIN;
  if (!folder) throw new Error('TEST_PROMETHEUS_BIN is not set; "npm test" sets it');
  return new Promise((resolve, reject) => {
    execFile(join(folder, 'promtool'), args, { maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      if (error && typeof error.code !== 'number') reject(error);
      else resolve({ ok: !error, output: stdout + stderr });
    });
  });
}
