import { type Duplex, Writable } from 'node:stream';
import { stringOf } from '../base/json.js';
import { type Command, runCommand } from './command.js';
import { SpdyConnection, type SpdyStream } from './spdy-connection.js';
import { WindowSize } from './terminal-size.js';

/** Versions of the protocol, the newest first; version 4 reports the exit code as a Status. */
export const spdyCommandProtocols = [
  'v4.channel.k8s.io',
  'v3.channel.k8s.io',
  'v2.channel.k8s.io',
  'channel.k8s.io',
] as const;
export type SpdyCommandProtocol = (typeof spdyCommandProtocols)[number];

/** A client opens its streams at once; kubelet's limit. */
const streamsTimeoutMs = 30_000;
const resizeMaxBytes = 4 * 1024;

/** Runs one exec or attach session over SPDY streams, one each for error, input, outputs and window size. */
export async function serveSpdyCommand(
  socket: Duplex,
  protocol: SpdyCommandProtocol,
  command: Command & { readonly hasStdout: boolean; readonly hasStderr: boolean },
): Promise<void> {
  const hasResize = command.hasTerminal && !['v2.channel.k8s.io', 'channel.k8s.io'].includes(protocol);
  const wanted = [
    'error',
    ...(command.hasStdin ? ['stdin'] : []),
    ...(command.hasStdout ? ['stdout'] : []),
    ...(command.hasStderr && !command.hasTerminal ? ['stderr'] : []),
    ...(hasResize ? ['resize'] : []),
  ];
  const streams = new Map<string, SpdyStream>();
  let onComplete: () => void = () => undefined;
  const complete = new Promise<void>((resolve) => {
    onComplete = resolve;
  });
  const connection = new SpdyConnection(socket, (stream) => {
    const type = stream.headers.get('streamtype') ?? '';
    if (!wanted.includes(type) || streams.has(type)) {
      stream.destroy();
      return;
    }
    streams.set(type, stream);
    if (streams.size === wanted.length) onComplete();
  });
  const ended = connection.run();
  const timer = setTimeout(() => socket.destroy(), streamsTimeoutMs);
  try {
    await Promise.race([complete, ended]);
  } finally {
    clearTimeout(timer);
  }
  const error = streams.get('error');
  if (error === undefined || streams.size < wanted.length) return ended;
  error.resume();
  const status = await runOn(streams, command);
  if (protocol === 'v4.channel.k8s.io') error.end(JSON.stringify(status));
  else error.end(status.status === 'Success' ? undefined : stringOf(status.message));
  await new Promise<void>((resolve) => {
    if (error.writableFinished || error.destroyed) resolve();
    else for (const event of ['finish', 'close']) error.once(event, () => resolve());
  });
  // Everything is written; the client closes when it has read it, as this side does.
  socket.end();
  await ended;
}

function runOn(streams: ReadonlyMap<string, SpdyStream>, command: Command): ReturnType<typeof runCommand> {
  const window = new WindowSize();
  const resize = streams.get('resize');
  let text = '';
  resize?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    // One JSON object after the other, without anything between.
    const at = text.lastIndexOf('}');
    if (at >= 0) {
      window.take(text.slice(text.lastIndexOf('{', at), at + 1));
      text = text.slice(at + 1);
    }
    if (text.length > resizeMaxBytes) text = '';
  });
  for (const output of ['stdout', 'stderr']) streams.get(output)?.resume();
  const stdout = streams.get('stdout') ?? nowhere();
  return runCommand(command, {
    stdin: streams.get('stdin'),
    stdout,
    stderr: command.hasTerminal ? undefined : (streams.get('stderr') ?? nowhere()),
    onResize: (callback) => window.onResize(callback),
  });
}

function nowhere(): Writable {
  return new Writable({ write: (_chunk, _encoding, callback) => callback() });
}
