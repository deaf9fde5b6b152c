import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: callers read many shapes; each checks what it needs.
  readonly body: any;
}

export interface Call {
  readonly method?: string;
  readonly token?: string;
  readonly json?: unknown;
  readonly raw?: string | Uint8Array;
  readonly headers?: Record<string, string>;
}

/** Sends one request; the body of the reply is parsed when it is JSON. */
export async function send(address: string, path: string, call: Call = {}): Promise<Reply> {
  const headers: Record<string, string> = { ...call.headers };
  if (call.token) headers.authorization = `Bearer ${call.token}`;
  if (call.json !== undefined) headers['content-type'] = 'application/json';
  const body = call.json === undefined ? call.raw : JSON.stringify(call.json);
  const response = await fetch(address + path, {
    method: call.method ?? (body === undefined ? 'GET' : 'POST'),
    headers,
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  const isJson = /[/+]json/.test(response.headers.get('content-type') ?? '');
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
}

/** An application of this repository, built and running as a process of its own. */
export class RunningApplication {
  private constructor(
    readonly address: string,
    private readonly child: ChildProcess,
    private readonly exited: Promise<number | string>,
    readonly output: () => string,
  ) {}

  /** Starts an application and waits until it says that it is ready. */
  static async start(
    app: 'api' | 'worker' | 'standalone',
    env: Record<string, string>,
  ): Promise<RunningApplication> {
    const { child, exited, output } = launch(app, env);
    const lines = createInterface({ input: child.stdout! });
    for await (const line of lines) {
      const address = /ready.*?(http:\/\/\S+)/.exec(line)?.[1];
      if (address) {
        lines.close();
        child.stdout!.resume();
        return new RunningApplication(address, child, exited, output);
      }
    }
    throw new Error(`${app} ended before it was ready (${await exited}): ${output()}`);
  }

  /** Starts an application that is expected to refuse; resolves with its exit status and everything it said. */
  static async startInVain(
    app: 'api' | 'worker' | 'standalone',
    env: Record<string, string>,
  ): Promise<{ status: number | string; output: string }> {
    const { child, exited, output } = launch(app, env);
    child.stdout!.resume();
    return { status: await exited, output: output() };
  }

  send(path: string, call?: Call): Promise<Reply> {
    return send(this.address, path, call);
  }

  /** Asks for an orderly end and resolves with the exit status. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | string> {
    this.child.kill(signal);
    return this.exited;
  }
}

/** With SPARKLE_TEST_FROM_SOURCE set, applications run from their sources: for work on one test. */
function commandOf(app: string): { args: string[]; env: Record<string, string> } {
  const path = (file: string) => fileURLToPath(new URL(`../../../${app}/${file}`, import.meta.url));
  if (process.env.SPARKLE_TEST_FROM_SOURCE) {
    const loader = fileURLToPath(import.meta.resolve('@swc-node/register/esm-register'));
    return {
      args: ['--conditions=@sparkle/source', '--import', loader, path('src/main.ts')],
      env: { SWC_NODE_PROJECT: path('tsconfig.json') },
    };
  }
  if (!existsSync(path('dist/main.js'))) throw new Error(`${app} is not built; "npm run build" builds it`);
  return { args: [path('dist/main.js')], env: {} };
}

function launch(app: string, env: Record<string, string>) {
  const command = commandOf(app);
  const child = spawn(process.execPath, command.args, {
    env: {
      PATH: process.env.PATH ?? '',
      HOME: process.env.HOME ?? '',
      PORT: '0',
      SPARKLE_GRPC_PORT: '0',
      ...command.env,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  child.stdout.on('data', (data) => {
    text += data;
  });
  child.stderr.on('data', (data) => {
    text += data;
  });
  const exited = new Promise<number | string>((resolve) => {
    child.once('close', (code, signal) => resolve(signal ?? code ?? -1));
  });
  return { child, exited, output: () => text };
}
