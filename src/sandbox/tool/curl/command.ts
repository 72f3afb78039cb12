import { closeSync, openSync, writeSync } from 'node:fs';
import { basename } from 'node:path';
import { curlExit, TransferFailure } from './failure.js';
import { type CurlOptions, OptionError, parseCurlOptions } from './options.js';
import { type IdleConnections, type TransferOutput, transfer } from './transfer.js';
import { expandWriteOut, noFacts, type TransferFacts } from './write-out.js';

/** Without -m, a transfer may take this long at most; real curl has no limit, a pod's shell should. */
const maxTimeDefaultMs = 24 * 3600 * 1000;

/** `tool curl`: transfers each URL in turn; output, messages and exit code follow curl. */
export async function curl(args: readonly string[]): Promise<number> {
  let options: CurlOptions;
  try {
    options = parseCurlOptions(args);
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    process.stderr.write(`curl: ${error.message}\n`);
    return curlExit.badOption;
  }
  const idle: IdleConnections = new Map();
  const files = new Map<string, number>();
  let exitCode = 0;
  try {
    for (const [index, text] of options.urls.entries()) {
      const code = await transferWithRetries({ text, index, options, idle, files });
      // Like curl, the last failing transfer decides.
      if (code !== 0) exitCode = code;
    }
  } finally {
    for (const socket of idle.values()) socket.destroy();
    for (const fd of files.values()) closeSync(fd);
  }
  return exitCode;
}

interface Job {
  readonly text: string;
  readonly index: number;
  readonly options: CurlOptions;
  readonly idle: IdleConnections;
  /** Output files opened so far; later transfers append. */
  readonly files: Map<string, number>;
}

async function transferWithRetries(job: Job): Promise<number> {
  const { options } = job;
  for (let attempt = 0; ; attempt++) {
    const { code, isRetryable, facts } = await transferOnce(job);
    if (attempt >= options.retries || !isRetryable) {
      if (options.writeOut !== undefined) process.stdout.write(expandWriteOut(options.writeOut, facts));
      return code;
    }
    await new Promise((resolve) => setTimeout(resolve, options.retryDelayMs));
  }
}

async function transferOnce(job: Job): Promise<{ code: number; isRetryable: boolean; facts: TransferFacts }> {
  const { options } = job;
  const facts = noFacts();
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), options.maxTimeMs ?? maxTimeDefaultMs);
  let failure: TransferFailure | undefined;
  try {
    const url = parseUrl(job.text);
    const output = outputFor(job, url);
    await transfer({ url, options, output, facts, idle: job.idle, signal: deadline.signal });
    if ((options.failOnError || options.failWithBody) && facts.httpCode >= 400) {
      failure = new TransferFailure(
        curlExit.httpReturnedError,
        `The requested URL returned error: ${facts.httpCode}`,
      );
    }
  } catch (error) {
    if (!(error instanceof TransferFailure)) throw error;
    failure = error;
  } finally {
    clearTimeout(timer);
  }
  const isRetryable =
    (failure === undefined && [408, 429, 500, 502, 503, 504].includes(facts.httpCode)) ||
    (failure !== undefined &&
      (options.retryAllErrors ||
        failure.exitCode === curlExit.timeout ||
        failure.exitCode === curlExit.resolveHost ||
        (failure.exitCode === curlExit.connect && options.retryConnRefused)));
  if (failure === undefined) return { code: 0, isRetryable, facts };
  facts.exitCode = failure.exitCode;
  facts.errorMessage = failure.message;
  if (!options.silent || options.showError) {
    process.stderr.write(`curl: (${failure.exitCode}) ${failure.message}\n`);
  }
  return { code: failure.exitCode, isRetryable, facts };
}

function parseUrl(text: string): URL {
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  if (!URL.canParse(withScheme)) {
    throw new TransferFailure(curlExit.malformedUrl, `URL rejected: ${text}`);
  }
  return new URL(withScheme);
}

function outputFor(job: Job, url: URL): TransferOutput {
  const { options } = job;
  const target =
    options.outputs[job.index] ?? (options.remoteName ? basename(url.pathname) || 'curl_response' : '-');
  const { dumpHeader } = options;
  return {
    body: (chunk) => write(job, target, chunk),
    head: (text) => {
      if (options.includeHeaders || options.isHead) void write(job, target, Buffer.from(text));
      if (dumpHeader !== undefined) void write(job, dumpHeader, Buffer.from(text));
    },
    note: (prefix, line) => {
      if (options.verbose) process.stderr.write(`${prefix} ${line}\n`);
    },
  };
}

/** Writes to a file (at once) or to standard output, where the promise resolves when it takes more. */
function write(job: Job, path: string, chunk: Buffer): Promise<void> | undefined {
  if (path === '-') {
    if (process.stdout.write(chunk)) return undefined;
    return new Promise((resolve) => process.stdout.once('drain', resolve));
  }
  try {
    const fd = job.files.get(path) ?? openSync(path, 'w');
    job.files.set(path, fd);
    for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at);
    return undefined;
  } catch {
    throw new TransferFailure(curlExit.writeError, `Failure writing output to destination ${path}`);
  }
}
