import { createServer } from 'node:http';
import { ConfigurationInvalidError } from '../../src/errors.js';
import { type RunningApplication, runProcess } from '../../src/process/run-process.js';

/** An application that behaves as its first argument says. */
const [behaviour = '', port = '0'] = process.argv.slice(2);
const alive = setInterval(() => {}, 1_000);
const close = async () => clearInterval(alive);
const say = (text: string) => process.stdout.write(`${text}\n`);
const forever = new Promise<never>(() => {});

const starts: Record<string, () => Promise<RunningApplication>> = {
  orderly: async () => ({
    readyLine: 'ready',
    close: async () => {
      await close();
      say('closed');
    },
  }),
  'fails to close': async () => ({
    readyLine: 'ready',
    close: () => Promise.reject(new Error('cannot close')),
  }),
  'never closes': async () => ({
    readyLine: 'ready',
    close: () => {
      say('closing');
      return forever;
    },
  }),
  'never starts': () => {
    say('starting');
    return forever;
  },
  'starts upon a signal': async () => {
    say('starting');
    await new Promise((resolve) => process.once('SIGTERM', resolve));
    return {
      readyLine: 'ready',
      close: async () => {
        say('closed');
      },
    };
  },
  misconfigured: () => Promise.reject(new ConfigurationInvalidError(['PORT: a number'])),
  defective: () => Promise.reject(new TypeError('this is a defect')),
  'throws nothing': () => Promise.reject(undefined),
  listens: async () => {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(Number(port), '127.0.0.1', resolve);
    });
    return { readyLine: 'ready', close };
  },
  'listens elsewhere': async () => {
    await new Promise<void>((resolve, reject) => {
      createServer().once('error', reject).listen(0, '192.0.2.1', resolve);
    });
    return { readyLine: 'ready', close };
  },
  'fails later': async () => ({
    readyLine: 'ready',
    close,
    failed: new Promise((resolve) => process.once('SIGUSR2', () => resolve(new Error('lost the database')))),
  }),
};

await runProcess(starts[behaviour]!, behaviour.startsWith('never') ? 100 : undefined);
