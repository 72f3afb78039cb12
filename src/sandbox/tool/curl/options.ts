import { readFileSync } from 'node:fs';

/** Limits of flag values. */
const redirectsDefaultMax = 50;
const retriesMax = 1000;

/** What a curl command line asks for. Times in milliseconds; undefined means no limit. */
export interface CurlOptions {
  readonly urls: string[];
  readonly outputs: string[];
  readonly headers: [name: string, value: string | undefined][];
  readonly resolve: Map<string, string>;
  readonly data: Buffer[];
  method: string | undefined;
  isHead: boolean;
  isGet: boolean;
  includeHeaders: boolean;
  dumpHeader: string | undefined;
  verbose: boolean;
  silent: boolean;
  showError: boolean;
  failOnError: boolean;
  failWithBody: boolean;
  followRedirects: boolean;
  redirectsMax: number;
  insecure: boolean;
  caFile: string | undefined;
  certFile: string | undefined;
  keyFile: string | undefined;
  http2PriorKnowledge: boolean;
  http10: boolean;
  writeOut: string | undefined;
  maxTimeMs: number | undefined;
  connectTimeoutMs: number | undefined;
  family: 0 | 4 | 6;
  user: string | undefined;
  remoteName: boolean;
  retries: number;
  retryDelayMs: number;
  retryConnRefused: boolean;
  retryAllErrors: boolean;
}

/** Wrong command line; curl exits with 2. */
export class OptionError extends Error {
  override readonly name = 'OptionError';
}

type Apply = (options: CurlOptions, value: string) => void;
interface Flag {
  readonly takesValue: boolean;
  readonly apply: Apply;
}

const on = (apply: (options: CurlOptions) => void): Flag => ({ takesValue: false, apply });
const value = (apply: Apply): Flag => ({ takesValue: true, apply });
const ignored = on(() => undefined);
const ignoredValue = value(() => undefined);

const flags: Readonly<Record<string, Flag>> = {
  '--silent': on((o) => (o.silent = true)),
  '--show-error': on((o) => (o.showError = true)),
  '--verbose': on((o) => (o.verbose = true)),
  '--include': on((o) => (o.includeHeaders = true)),
  '--show-headers': on((o) => (o.includeHeaders = true)),
  '--head': on((o) => (o.isHead = true)),
  '--get': on((o) => (o.isGet = true)),
  '--fail': on((o) => (o.failOnError = true)),
  '--fail-with-body': on((o) => (o.failWithBody = true)),
  '--location': on((o) => (o.followRedirects = true)),
  '--insecure': on((o) => (o.insecure = true)),
  '--http1.0': on((o) => (o.http10 = true)),
  '--http1.1': on((o) => (o.http2PriorKnowledge = false)),
  '--http2-prior-knowledge': on((o) => (o.http2PriorKnowledge = true)),
  '--ipv4': on((o) => (o.family = 4)),
  '--ipv6': on((o) => (o.family = 6)),
  '--retry-connrefused': on((o) => (o.retryConnRefused = true)),
  '--retry-all-errors': on((o) => (o.retryAllErrors = true)),
  '--no-progress-meter': ignored,
  '--no-buffer': ignored,
  '--globoff': ignored,
  '--path-as-is': ignored,
  '--no-keepalive': ignored,
  '--request': value((o, v) => (o.method = v)),
  '--header': value(addHeader),
  '--data': value((o, v) => o.data.push(dataOf(v, true))),
  '--data-ascii': value((o, v) => o.data.push(dataOf(v, true))),
  '--data-binary': value((o, v) => o.data.push(dataOf(v, false))),
  '--data-raw': value((o, v) => o.data.push(Buffer.from(v))),
  '--data-urlencode': value((o, v) => o.data.push(Buffer.from(urlEncoded(v)))),
  '--json': value((o, v) => {
    o.data.push(dataOf(v, false));
    o.headers.push(['Content-Type', 'application/json'], ['Accept', 'application/json']);
  }),
  '--output': value((o, v) => o.outputs.push(v)),
  '--remote-name': on((o) => (o.remoteName = true)),
  '--dump-header': value((o, v) => (o.dumpHeader = v)),
  '--write-out': value((o, v) => (o.writeOut = v.startsWith('@') ? readText(v.slice(1)) : v)),
  '--max-time': value((o, v) => (o.maxTimeMs = secondsOf(v))),
  '--connect-timeout': value((o, v) => (o.connectTimeoutMs = secondsOf(v))),
  '--max-redirs': value((o, v) => (o.redirectsMax = countOf(v))),
  '--user-agent': value((o, v) => o.headers.push(['User-Agent', v])),
  '--referer': value((o, v) => o.headers.push(['Referer', v])),
  '--cookie': value((o, v) => o.headers.push(['Cookie', v])),
  '--oauth2-bearer': value((o, v) => o.headers.push(['Authorization', `Bearer ${v}`])),
  '--user': value((o, v) => (o.user = v)),
  '--resolve': value(addResolve),
  '--cacert': value((o, v) => (o.caFile = v)),
  '--cert': value((o, v) => (o.certFile = v)),
  '--key': value((o, v) => (o.keyFile = v)),
  '--url': value((o, v) => o.urls.push(v)),
  '--retry': value((o, v) => (o.retries = Math.min(countOf(v), retriesMax))),
  '--retry-delay': value((o, v) => (o.retryDelayMs = secondsOf(v))),
  '--retry-max-time': ignoredValue,
  '--keepalive-time': ignoredValue,
};

const shortNames: Readonly<Record<string, string>> = {
  s: '--silent',
  S: '--show-error',
  v: '--verbose',
  i: '--include',
  I: '--head',
  G: '--get',
  f: '--fail',
  L: '--location',
  k: '--insecure',
  0: '--http1.0',
  4: '--ipv4',
  6: '--ipv6',
  N: '--no-buffer',
  g: '--globoff',
  X: '--request',
  H: '--header',
  d: '--data',
  o: '--output',
  O: '--remote-name',
  D: '--dump-header',
  w: '--write-out',
  m: '--max-time',
  A: '--user-agent',
  e: '--referer',
  b: '--cookie',
  u: '--user',
  E: '--cert',
};

/** Parses curl's command line: long flags, bundled short flags (`-sSo FILE`), values attached or separate. */
export function parseCurlOptions(args: readonly string[]): CurlOptions {
  const options: CurlOptions = {
    urls: [],
    outputs: [],
    headers: [],
    resolve: new Map(),
    data: [],
    method: undefined,
    isHead: false,
    isGet: false,
    includeHeaders: false,
    dumpHeader: undefined,
    verbose: false,
    silent: false,
    showError: false,
    failOnError: false,
    failWithBody: false,
    followRedirects: false,
    redirectsMax: redirectsDefaultMax,
    insecure: false,
    caFile: undefined,
    certFile: undefined,
    keyFile: undefined,
    http2PriorKnowledge: false,
    http10: false,
    writeOut: undefined,
    maxTimeMs: undefined,
    connectTimeoutMs: undefined,
    family: 0,
    user: undefined,
    remoteName: false,
    retries: 0,
    retryDelayMs: 1000,
    retryConnRefused: false,
    retryAllErrors: false,
  };
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? '';
    if (arg === '-' || !arg.startsWith('-')) {
      options.urls.push(arg);
    } else if (arg.startsWith('--')) {
      const flag = flagNamed(arg, arg);
      if (flag.takesValue) flag.apply(options, valueAfter(args, ++i, arg));
      else flag.apply(options, '');
    } else {
      i = applyShort(options, args, i);
    }
  }
  if (options.urls.length === 0) throw new OptionError('no URL specified');
  return options;
}

/** Applies one argument of bundled short flags; returns the index of the last argument used. */
function applyShort(options: CurlOptions, args: readonly string[], index: number): number {
  const letters = (args[index] ?? '').slice(1);
  for (let at = 0; at < letters.length; at++) {
    const letter = letters[at] ?? '';
    const long = Object.hasOwn(shortNames, letter) ? shortNames[letter] : undefined;
    const flag = flagNamed(long ?? `-${letter}`, `-${letter}`);
    if (!flag.takesValue) {
      flag.apply(options, '');
      continue;
    }
    const attached = letters.slice(at + 1);
    if (attached !== '') {
      flag.apply(options, attached);
      return index;
    }
    flag.apply(options, valueAfter(args, index + 1, `-${letter}`));
    return index + 1;
  }
  return index;
}

function flagNamed(name: string, shown: string): Flag {
  const flag = Object.hasOwn(flags, name) ? flags[name] : undefined;
  if (flag === undefined) throw new OptionError(`option ${shown}: is unknown`);
  return flag;
}

function valueAfter(args: readonly string[], index: number, flag: string): string {
  const found = args[index];
  if (found === undefined) throw new OptionError(`option ${flag}: requires parameter`);
  return found;
}

function addHeader(options: CurlOptions, text: string): void {
  // `Name:` removes a default header, `Name;` sends it empty.
  const match = /^([^:;]+)([:;])\s*(.*)$/s.exec(text);
  if (match === null) throw new OptionError(`option -H: no header in ${JSON.stringify(text)}`);
  const [, name = '', separator, content = ''] = match;
  options.headers.push([name.trim(), separator === ';' ? '' : content === '' ? undefined : content]);
}

function addResolve(options: CurlOptions, text: string): void {
  const match = /^[+-]?(\[[^\]]+\]|[^:]+):(\d+|\*):(.+)$/.exec(text);
  if (match === null) throw new OptionError(`option --resolve: expected HOST:PORT:ADDRESS, got ${text}`);
  const [, host = '', port = '', address = ''] = match;
  options.resolve.set(`${host.toLowerCase()}:${port}`, (address.split(',')[0] ?? '').replace(/^\[|\]$/g, ''));
}

function dataOf(text: string, stripsNewlines: boolean): Buffer {
  if (!text.startsWith('@')) return Buffer.from(text);
  const content = readBytes(text.slice(1));
  return stripsNewlines
    ? Buffer.from(content.toString('latin1').replace(/[\r\n\0]/g, ''), 'latin1')
    : content;
}

function urlEncoded(text: string): string {
  const equals = text.indexOf('=');
  if (equals < 0) return encodeURIComponent(text);
  const name = text.slice(0, equals);
  return `${name}${name === '' ? '' : '='}${encodeURIComponent(text.slice(equals + 1))}`;
}

function readBytes(path: string): Buffer {
  try {
    return readFileSync(path === '-' ? 0 : path);
  } catch (error) {
    throw new OptionError(`cannot read ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function readText(path: string): string {
  return readBytes(path).toString('utf8');
}

function secondsOf(text: string): number {
  const seconds = Number(text);
  if (text.trim() === '' || !Number.isFinite(seconds) || seconds < 0) {
    throw new OptionError(`expected a proper numerical parameter, got ${JSON.stringify(text)}`);
  }
  return Math.round(seconds * 1000);
}

function countOf(text: string): number {
  if (!/^\d+$/.test(text))
    throw new OptionError(`expected a proper numerical parameter, got ${JSON.stringify(text)}`);
  return Number(text);
}
