import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const repository = fileURLToPath(new URL('../..', import.meta.url));

/** What a process started by npm must not inherit: the workspace it was started from, and its resolution. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(npm_|INIT_CWD$|NODE_OPTIONS$|NODE_ENV$|VITEST)/i.test(name),
  );
  return Object.fromEntries(inherited);
}

/** A copy of an example outside of the repository, on the packed libraries, as a stranger would have it. */
export class ForeignApp {
  private readonly running = new Set<ChildProcess>();

  private constructor(private readonly folder: string) {}

  /** Packs the libraries the example names, installs them with its other dependencies, and compiles it. */
  static async install(example: string): Promise<ForeignApp> {
    const folder = await mkdtemp(join(tmpdir(), 'sparkle-foreign-'));
    const app = new ForeignApp(folder);
    await cp(join(repository, 'examples', example), folder, {
      recursive: true,
      filter: (path) => !/[\\/](node_modules|dist)$/.test(path),
    });
    const manifestFile = join(folder, 'package.json');
    const manifest = JSON.parse(await readFile(manifestFile, 'utf8')) as {
      dependencies: Record<string, string>;
    };
    const libraries = Object.keys(manifest.dependencies).filter((name) => name.startsWith('@sparkle/'));
    const workspaces = libraries.flatMap((name) => ['--workspace', name]);
    await run('npm', ['pack', ...workspaces, '--ignore-scripts', '--pack-destination', folder], {
      cwd: repository,
      env: cleanEnvironment(),
    });
    const packed = (await readdir(folder)).filter((name) => name.endsWith('.tgz'));
    for (const name of libraries) {
      const file = packed.find((candidate) => candidate.startsWith(`${name.slice(1).replace('/', '-')}-`));
      if (!file) throw new Error(`${name} was not packed`);
      manifest.dependencies[name] = `file:${file}`;
    }
    await writeFile(manifestFile, JSON.stringify(manifest));
    await app.npm('install', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund');
    await app.npm('run', 'build');
    return app;
  }

  /** Starts a process of the application on a free port and resolves with its address. */
  async start(env: Readonly<Record<string, string>> = {}): Promise<string> {
    const child = spawn(process.execPath, ['dist/main.js'], {
      cwd: this.folder,
      env: { ...cleanEnvironment(), PORT: '0', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.running.add(child);
    let complaints = '';
    child.stderr.on('data', (data) => {
      complaints += data;
    });
    const lines = createInterface({ input: child.stdout });
    for await (const line of lines) {
      const address = /listening on (http:\/\/\S+)/.exec(line)?.[1];
      if (!address) continue;
      lines.close();
      child.stdout.resume();
      return address;
    }
    throw new Error(`the application ended before it listened: ${complaints}`);
  }

  /** The version of each package with that name that is installed: a second copy would break injection. */
  async copiesOf(name: string): Promise<readonly string[]> {
    const { stdout } = await run('npm', ['ls', name, '--all', '--parseable', '--long'], {
      cwd: this.folder,
      env: cleanEnvironment(),
    });
    return stdout.trim().split('\n');
  }

  async remove(): Promise<void> {
    for (const child of this.running) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
    }
    await rm(this.folder, { recursive: true, force: true });
  }

  private async npm(...args: readonly string[]): Promise<void> {
    try {
      await run('npm', [...args], { cwd: this.folder, env: cleanEnvironment() });
    } catch (error) {
      const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
      throw new Error(`npm ${args.join(' ')} failed in the foreign application:\n${stdout}${stderr}`);
    }
  }
}
