import { connect } from 'node:net';
import { FlagError, parseFlags, reportUsage } from './flags.js';

/** At most this much of the answer is kept and printed. */
const answerMaxBytes = 1024 * 1024;

/** Exit codes follow curl, so that scripts read one table: 6 name, 7 refused, 28 timeout, 52 nothing came back, 56 reset. */
const exitCodes: Readonly<Record<string, number>> = {
  ENOTFOUND: 6,
  EAI_AGAIN: 6,
  ECONNREFUSED: 7,
  EHOSTUNREACH: 7,
  ENETUNREACH: 7,
  ETIMEDOUT: 28,
  ECONNRESET: 56,
  EPIPE: 56,
};

/**
 * `tool tcp send HOST PORT [--text T] [--timeout SECONDS]`: connects, sends the
 * text and a newline, half-closes, prints what comes back until the peer closes.
 */
export async function tcp(args: readonly string[]): Promise<number> {
  let host: string;
  let port: number;
  let text: string | undefined;
  let timeoutMs: number;
  try {
    const flags = parseFlags(args, { text: 'text', timeout: 'seconds' });
    const [verb, hostArg, portArg] = flags.positional;
    port = Number(portArg);
    if (verb !== 'send' || hostArg === undefined || !(Number.isInteger(port) && port > 0 && port < 65_536)) {
      throw new FlagError('expected: send HOST PORT [--text T]');
    }
    host = hostArg;
    text = flags.text('text');
    timeoutMs = (flags.number('timeout') ?? 10) * 1000;
  } catch (error) {
    return reportUsage('tcp', error);
  }
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let received = 0;
    const finish = (code: number, message?: string): void => {
      clearTimeout(timer);
      socket.destroy();
      if (chunks.length > 0) process.stdout.write(Buffer.concat(chunks));
      if (message !== undefined) process.stderr.write(`tool tcp: (${code}) ${message}\n`);
      resolve(code);
    };
    const socket = connect({ host, port, allowHalfOpen: true });
    const timer = setTimeout(
      () => finish(28, `no end after ${timeoutMs} ms, ${received} bytes received`),
      timeoutMs,
    );
    socket.once('connect', () => socket.end(text === undefined ? '' : `${text}\n`));
    socket.on('data', (chunk: Buffer) => {
      if (received < answerMaxBytes) chunks.push(chunk.subarray(0, answerMaxBytes - received));
      received += chunk.length;
    });
    socket.once('end', () => {
      if (received === 0 && text !== undefined) finish(52, `empty reply from ${host}:${port}`);
      else finish(0);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      finish(
        exitCodes[error.code ?? ''] ?? 1,
        `${host}:${port}: ${error.message || (error.code ?? 'failed')}`,
      );
    });
  });
}
