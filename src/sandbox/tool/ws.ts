import { FlagError, parseFlags, reportUsage } from './flags.js';

const messageDefaultTimeoutSeconds = 10;

/**
 * `tool ws URL [--message T] [--count N] [--header 'Name: value'] [--timeout S]`:
 * opens a WebSocket, sends the message N times, prints each answer on a line and
 * closes. Exit code: 0, 7 without a connection, 22 when the upgrade is refused, 28
 * when answers do not come, 56 when the connection ends before they have.
 */
export async function ws(args: readonly string[]): Promise<number> {
  let url: URL;
  let plan: { message: string; count: number; headers: Record<string, string>; timeoutMs: number };
  let options: { rejectUnauthorized: boolean };
  try {
    const flags = parseFlags(args, {
      message: 'text',
      count: 'number',
      header: 'text',
      timeout: 'seconds',
      insecure: 'switch',
    });
    const [text, ...more] = flags.positional;
    if (text === undefined || more.length > 0) throw new FlagError('expected one URL');
    const full = /^(wss?|https?):\/\//.test(text) ? text.replace(/^http/, 'ws') : `ws://${text}`;
    if (!URL.canParse(full)) throw new FlagError(`not a URL: ${text}`);
    url = new URL(full);
    const [name = '', value] = (flags.text('header') ?? '').split(/:\s*/, 2);
    plan = {
      message: flags.text('message') ?? 'hello',
      count: Math.max(1, flags.number('count') ?? 1),
      headers: value === undefined ? {} : { [name]: value },
      timeoutMs: (flags.number('timeout') ?? messageDefaultTimeoutSeconds) * 1000,
    };
    options = { rejectUnauthorized: !flags.has('insecure') };
  } catch (error) {
    return reportUsage('ws', error);
  }
  const { WebSocket } = await import('ws');
  return new Promise((resolve) => {
    const socket = new WebSocket(url, {
      headers: plan.headers,
      handshakeTimeout: plan.timeoutMs,
      ...options,
    });
    let received = 0;
    let isOpen = false;
    const finish = (code: number, message?: string): void => {
      clearTimeout(timer);
      if (message !== undefined) process.stderr.write(`tool ws: (${code}) ${message}\n`);
      socket.removeAllListeners();
      socket.on('error', () => undefined); // it is over; a late complaint changes nothing
      if (code === 0) socket.close();
      else socket.terminate();
      resolve(code);
    };
    const timer = setTimeout(
      () => finish(28, `${received} of ${plan.count} answers after ${plan.timeoutMs} ms`),
      plan.timeoutMs,
    );
    socket.on('open', () => {
      isOpen = true;
      socket.send(plan.message);
    });
    socket.on('message', (data: Buffer) => {
      received += 1;
      process.stdout.write(`${data.toString()}\n`);
      if (received >= plan.count) finish(0);
      else socket.send(plan.message);
    });
    socket.on('unexpected-response', (_, response) =>
      finish(22, `the server answered with ${response.statusCode}`),
    );
    socket.on('error', (error) => finish(isOpen ? 56 : 7, error.message));
    socket.on('close', (code) =>
      finish(56, `closed with ${code} after ${received} of ${plan.count} answers`),
    );
  });
}
