import { openSync, readFileSync, writeSync } from 'node:fs';
import { type IncomingMessage, request as httpRequest, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { isIp } from '#base/net/address.js';

/** Flags that are known here, and their short forms. */
const switches = ['silent', 'show-error', 'include', 'head', 'insecure', 'fail', 'retry-all-errors'];
const flagsWithValue = ['max-time', 'request', 'header', 'data', 'output', 'write-out', 'cacert', 'retry'];
const shortForms: Readonly<Record<string, string>> = {
  s: 'silent',
  S: 'show-error',
  i: 'include',
  I: 'head',
  k: 'insecure',
  f: 'fail',
  m: 'max-time',
  X: 'request',
  H: 'header',
  d: 'data',
  o: 'output',
  w: 'write-out',
};

/** What went wrong, as curl's exit codes and words have it. */
class CurlFailure extends Error {
  override readonly name = 'CurlFailure';
  readonly exitCode: number;

  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

interface CurlCall {
  readonly values: ReadonlyMap<string, readonly string[]>;
  readonly urls: readonly string[];
}

/**
 * A stand-in for curl where the machine has none: requests over HTTP/1.1, each on a connection of its own, with
 * curl's exit codes 2, 3, 6, 7, 18, 22, 28, 35, 52, 56 and 60.
 */
export async function curl(args: readonly string[]): Promise<number> {
  let exitCode = 0;
  try {
    const call = parseCall(args);
    for (const url of call.urls) {
      const code = await transferWithRetries(call, url);
      if (code !== 0) exitCode = code;
    }
  } catch (error) {
    exitCode = report(error, true);
  }
  return exitCode;
}

function parseCall(args: readonly string[]): CurlCall {
  const values = new Map<string, string[]>();
  const urls: string[] = [];
  const set = (name: string, value: string): void =>
    void values.set(name, [...(values.get(name) ?? []), value]);
  for (let i = 0; i < args.length; i++) {
    const word = args[i] ?? '';
    if (!word.startsWith('-') || word === '-') {
      urls.push(word);
      continue;
    }
    // Short flags come in one word, the last with its value: -sSo/dev/null.
    for (let rest: string | undefined = word; rest !== undefined; ) {
      const isLong = rest.startsWith('--');
      const spelled = isLong ? rest : rest.slice(0, 2);
      const name = isLong ? rest.slice(2) : (shortForms[rest.slice(1, 2)] ?? '');
      const attached: string = isLong ? '' : rest.slice(2);
      if (flagsWithValue.includes(name)) {
        const value = attached === '' ? args[++i] : attached;
        if (value === undefined) throw new CurlFailure(2, `option ${spelled}: requires parameter`);
        set(name, value);
        rest = undefined;
      } else if (switches.includes(name)) {
        set(name, '');
        rest = attached === '' ? undefined : `-${attached}`;
      } else {
        throw new CurlFailure(
          2,
          `option ${spelled}: is unknown to this stand-in; where curl is installed, that is used`,
        );
      }
    }
  }
  if (urls.length === 0) throw new CurlFailure(2, 'no URL specified');
  return { values, urls };
}

async function transferWithRetries(call: CurlCall, text: string): Promise<number> {
  const isSilent = call.values.has('silent') && !call.values.has('show-error');
  const last = (name: string): string | undefined => call.values.get(name)?.at(-1);
  for (let left = Number(last('retry') ?? 0); ; left--) {
    let status = 0;
    const startedAt = performance.now();
    try {
      status = await transfer(call, text, (code) => (status = code));
      if (call.values.has('fail') && status >= 400)
        throw new CurlFailure(22, `The requested URL returned error: ${status}`);
      writeOut(last('write-out'), { status, startedAt });
      return 0;
    } catch (error) {
      const isRetried =
        call.values.has('retry-all-errors') || [408, 429, 500, 502, 503, 504].includes(status);
      const exitCode = report(error, !isSilent);
      if (left <= 0 || !isRetried) {
        writeOut(last('write-out'), { status, startedAt });
        return exitCode;
      }
      await delay(1_000);
    }
  }
}

/** Sends one request and writes the answer; resolves to its status, which `onStatus` gets as soon as it is there. */
async function transfer(call: CurlCall, text: string, onStatus: (status: number) => void): Promise<number> {
  const { values } = call;
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  if (!URL.canParse(withScheme)) throw new CurlFailure(3, `URL rejected: ${text}`);
  const url = new URL(withScheme);
  const isTls = url.protocol === 'https:';
  if (!isTls && url.protocol !== 'http:')
    throw new CurlFailure(1, `Protocol "${url.protocol.slice(0, -1)}" not supported`);
  const data = values.get('data')?.join('&');
  const isHead = values.has('head');
  const seconds = Number(values.get('max-time')?.at(-1) ?? 0);
  const timeout = seconds > 0 ? AbortSignal.timeout(seconds * 1_000) : undefined;
  const cacert = values.get('cacert')?.at(-1);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const options: RequestOptions & { servername?: string; rejectUnauthorized?: boolean; ca?: Buffer } = {
    method: values.get('request')?.at(-1) ?? (isHead ? 'HEAD' : data === undefined ? 'GET' : 'POST'),
    agent: false,
    headers: headersOf(values.get('header') ?? [], data),
    ...(timeout === undefined ? {} : { signal: timeout }),
    ...(isTls ? { rejectUnauthorized: !values.has('insecure'), servername: isIp(host) ? '' : host } : {}),
    ...(cacert === undefined ? {} : { ca: readFileSync(cacert) }),
  };
  let reply: IncomingMessage | undefined;
  const write = outputOf(values.get('output')?.at(-1));
  try {
    reply = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = (isTls ? httpsRequest : httpRequest)(url, options, resolve);
      request.once('error', reject).end(data);
    });
    const status = reply.statusCode ?? 0;
    onStatus(status);
    const hasBody = !(values.has('fail') && status >= 400);
    if (isHead || values.has('include')) write(Buffer.from(headOf(reply)));
    for await (const chunk of reply) if (hasBody) write(chunk as Buffer);
    return status;
  } catch (error) {
    throw failureOf(error, { isTimeout: timeout?.aborted === true, hasReply: reply !== undefined, url });
  }
}

function headersOf(given: readonly string[], data: string | undefined): Record<string, string> {
  const headers: Record<string, string> = { 'user-agent': 'meshctl-tool', accept: '*/*' };
  if (data !== undefined) headers['content-type'] = 'application/x-www-form-urlencoded';
  for (const line of given) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (colon < 1) throw new CurlFailure(43, `not a header: ${line}`);
    if (value === '') delete headers[name];
    else headers[name] = value;
  }
  return headers;
}

function headOf(reply: IncomingMessage): string {
  const { rawHeaders } = reply;
  const lines = [`HTTP/${reply.httpVersion} ${reply.statusCode ?? 0} ${reply.statusMessage ?? ''}`];
  for (let i = 0; i < rawHeaders.length; i += 2) lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}

function outputOf(path: string | undefined): (chunk: Buffer) => void {
  if (path === undefined || path === '-') return (chunk) => void process.stdout.write(chunk);
  try {
    const fd = openSync(path, 'w');
    return (chunk) => void writeSync(fd, chunk);
  } catch {
    throw new CurlFailure(23, `Failure writing output to destination ${path}`);
  }
}

function writeOut(
  format: string | undefined,
  o: { readonly status: number; readonly startedAt: number },
): void {
  if (format === undefined) return;
  const seconds = (performance.now() - o.startedAt) / 1_000;
  const text = format
    .replaceAll('\\n', '\n')
    .replaceAll(/%\{(?:http_code|response_code)\}/g, String(o.status).padStart(3, '0'))
    .replaceAll('%{time_total}', seconds.toFixed(6));
  process.stdout.write(text);
}

const connectCodes = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT']);

function failureOf(error: unknown, o: { isTimeout: boolean; hasReply: boolean; url: URL }): CurlFailure {
  if (error instanceof CurlFailure) return error;
  const { code = '', message, syscall } = error as NodeJS.ErrnoException;
  const { hostname } = o.url;
  if (o.isTimeout) return new CurlFailure(28, 'Operation timed out');
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return new CurlFailure(6, `Could not resolve host: ${hostname}`);
  if (connectCodes.has(code))
    return new CurlFailure(7, `Failed to connect to ${hostname}: Couldn't connect to server`);
  if (o.hasReply) return new CurlFailure(18, 'transfer closed with outstanding read data remaining');
  if (code === 'ECONNRESET' && syscall === 'read')
    return new CurlFailure(56, 'Recv failure: Connection reset by peer');
  if (code === 'ECONNRESET') return new CurlFailure(52, 'Empty reply from server');
  if (/CERT|SIGNED|VERIFY|ALTNAME/.test(code))
    return new CurlFailure(60, `SSL certificate problem: ${message}`);
  return new CurlFailure(code.startsWith('HPE_') ? 1 : 35, message);
}

function report(error: unknown, isSaid: boolean): number {
  const failure = error instanceof CurlFailure ? error : new CurlFailure(1, String(error));
  if (isSaid) process.stderr.write(`curl: (${failure.exitCode}) ${failure.message}\n`);
  return failure.exitCode;
}
