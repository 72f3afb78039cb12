import { connect } from 'node:http2';
import { readFileSync } from 'node:fs';
import { FlagError, parseFlags, reportUsage } from '../flags.js';
import { frameMessage, health, splitMessages } from './framing.js';

const answerMaxBytes = 4 * 1024 * 1024;

interface Call {
  readonly url: URL;
  readonly path: string;
  readonly messages: readonly Buffer[];
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly tls: { readonly rejectUnauthorized: boolean; readonly ca?: Buffer };
  readonly isHealth: boolean;
}

/**
 * `tool grpc HOST:PORT SERVICE/METHOD [--text T | --hex H]`: one call with one message
 * of these bytes; prints each message that comes back. `tool grpc HOST:PORT health
 * [--service S]` prints a server's status. Exit code: 0 for status OK, 1 for any
 * other, 7 without a connection, 28 when it takes too long.
 */
export async function grpc(args: readonly string[]): Promise<number> {
  try {
    return await perform(parseCall(args));
  } catch (error) {
    return reportUsage('grpc', error);
  }
}

function parseCall(args: readonly string[]): Call {
  const flags = parseFlags(args, {
    text: 'text',
    hex: 'text',
    service: 'text',
    header: 'text',
    timeout: 'seconds',
    insecure: 'switch',
    cacert: 'text',
  });
  const [target, method, ...more] = flags.positional;
  if (target === undefined || method === undefined || more.length > 0)
    throw new FlagError('expected HOST:PORT and SERVICE/METHOD (or health)');
  const full = /^https?:\/\//.test(target) ? target : `http://${target}`;
  if (!URL.canParse(full)) throw new FlagError(`not an address: ${target}`);
  const isHealth = method === 'health';
  if (!isHealth && !/^\/?[\w.]+\/\w+$/.test(method)) throw new FlagError(`not SERVICE/METHOD: ${method}`);
  const hex = flags.text('hex');
  if (hex !== undefined && !/^([0-9a-fA-F]{2})*$/.test(hex))
    throw new FlagError('--hex needs pairs of hex digits');
  const bytes = hex === undefined ? Buffer.from(flags.text('text') ?? '') : Buffer.from(hex, 'hex');
  const [name = '', value] = (flags.text('header') ?? '').split(/:\s*/, 2);
  const ca = flags.text('cacert');
  return {
    url: new URL(full),
    path: isHealth ? `${health.path}Check` : `/${method.replace(/^\//, '')}`,
    messages: [isHealth ? health.request(flags.text('service') ?? '') : bytes],
    headers: value === undefined ? {} : { [name.toLowerCase()]: value },
    timeoutMs: (flags.number('timeout') ?? 10) * 1000,
    tls: {
      rejectUnauthorized: !flags.has('insecure'),
      ...(ca === undefined ? {} : { ca: readFileSync(ca) }),
    },
    isHealth,
  };
}

function perform(call: Call): Promise<number> {
  return new Promise((resolve) => {
    const session = connect(call.url.origin, call.tls);
    const finish = (code: number, message?: string): void => {
      clearTimeout(timer);
      session.destroy();
      if (message !== undefined) process.stderr.write(`tool grpc: ${message}\n`);
      resolve(code);
    };
    const timer = setTimeout(() => finish(28, `no answer after ${call.timeoutMs} ms`), call.timeoutMs);
    session.on('error', (error) => finish(7, error.message));
    const stream = session.request({
      ':method': 'POST',
      ':path': call.path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...call.headers,
    });
    let status: string | undefined;
    let text = '';
    let httpStatus = 0;
    const look = (fields: Readonly<Record<string, string | string[] | number | undefined>>): void => {
      status = fields['grpc-status']?.toString() ?? status;
      text = decodeURIComponent(fields['grpc-message']?.toString() ?? text);
    };
    stream.on('response', (headers) => {
      httpStatus = Number(headers[':status']);
      look(headers);
    });
    stream.on('trailers', look);
    let pending: Buffer = Buffer.alloc(0);
    stream.on('data', (chunk: Buffer) => {
      try {
        const { messages, rest } = splitMessages(Buffer.concat([pending, chunk]), answerMaxBytes);
        pending = rest;
        for (const message of messages)
          process.stdout.write(
            call.isHealth ? `${health.statusOf(message)}\n` : Buffer.concat([message, newline]),
          );
      } catch (error) {
        finish(1, String(error));
      }
    });
    stream.on('error', (error) => finish(session.connecting || session.destroyed ? 7 : 1, error.message));
    stream.on('end', () => {
      if (status === '0') finish(0);
      else
        finish(
          1,
          status === undefined ? `HTTP status ${httpStatus}, no grpc-status` : `status ${status}: ${text}`,
        );
    });
    for (const message of call.messages) stream.write(frameMessage(message));
    stream.end();
  });
}

const newline = Buffer.from('\n');
