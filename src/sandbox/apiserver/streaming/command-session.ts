import { PassThrough, Writable } from 'node:stream';
import type { RawData, WebSocket } from 'ws';
import { isObject, type JsonObject, stringOf } from '../json.js';
import type { KubeletGateway, TerminalSize } from '../kubelet-gateway.js';
import type { KubeObject } from '../object.js';
import { gatewayError } from '../subresources/pod-logs.js';
import { bytesOf } from './web-socket-duplex.js';

const channels = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;
const pingIntervalMs = 15_000;

function asks(query: URLSearchParams, name: string): boolean {
  const value = query.get(name);
  return value === 'true' || value === '1';
}

/** How a finished command is reported on the error channel. */
function exitStatus(exitCode: number): JsonObject {
  if (exitCode === 0) return { metadata: {}, status: 'Success' };
  return {
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: exit status ${exitCode}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(exitCode) }] },
  };
}

/** Runs one exec or attach session over a WebSocket of the channel.k8s.io protocols, to its end. */
export async function serveCommand(
  webSocket: WebSocket,
  options: {
    readonly pod: KubeObject;
    readonly container: string;
    readonly query: URLSearchParams;
    readonly isAttach: boolean;
    readonly kubelet: KubeletGateway;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { pod, query, kubelet, signal } = options;
  const isBase64 = webSocket.protocol.startsWith('v4.base64') || webSocket.protocol.startsWith('base64');
  const isStatusReported = webSocket.protocol.startsWith('v');
  const tty = asks(query, 'tty');
  const stdin = asks(query, 'stdin') ? new PassThrough() : undefined;
  let size: TerminalSize | undefined;
  const resizeCallbacks = new Set<(size: TerminalSize) => void>();

  const send = (
    channel: number,
    data: Buffer,
    done: (error?: Error | null) => void = () => undefined,
  ): void => {
    if (webSocket.readyState !== webSocket.OPEN) return done();
    if (isBase64) webSocket.send(`${channel}${data.toString('base64')}`, (e) => done(e));
    else webSocket.send(Buffer.concat([Buffer.from([channel]), data]), { binary: true }, (e) => done(e));
  };
  const output = (channel: number): Writable =>
    new Writable({
      // The callback waits for the socket, which is what slows a fast command down.
      write: (chunk: Buffer, _encoding, callback) => send(channel, chunk, () => callback()),
    });

  webSocket.on('message', (data: RawData) => {
    const raw = bytesOf(data);
    const channel = isBase64 ? raw.readUInt8(0) - 48 : raw[0];
    const payload = isBase64 ? Buffer.from(raw.subarray(1).toString(), 'base64') : raw.subarray(1);
    if (channel === channels.stdin && stdin !== undefined && !stdin.writableEnded) {
      if (!stdin.write(payload)) {
        webSocket.pause();
        stdin.once('drain', () => webSocket.resume());
      }
    } else if (channel === channels.resize) {
      const next = parseSize(payload);
      if (next === undefined) return;
      size = next;
      for (const callback of resizeCallbacks) callback(next);
    } else if (channel === channels.close && payload[0] === channels.stdin) stdin?.end();
  });
  webSocket.once('close', () => stdin?.end());
  const ping = setInterval(() => webSocket.ping(), pingIntervalMs);

  const io = {
    stdin,
    stdout: output(channels.stdout),
    stderr: tty ? undefined : output(channels.stderr),
    onResize: (callback: (s: TerminalSize) => void) => {
      resizeCallbacks.add(callback);
      if (size !== undefined) callback(size);
    },
  };
  const target = {
    namespace: pod.metadata.namespace ?? '',
    pod: pod.metadata.name,
    uid: pod.metadata.uid,
    container: options.container,
    tty,
  };
  let status: JsonObject;
  try {
    const { exitCode } = options.isAttach
      ? await kubelet.attach(target, io, signal)
      : await kubelet.exec({ ...target, command: query.getAll('command') }, io, signal);
    await Promise.all([finish(io.stdout), ...(io.stderr === undefined ? [] : [finish(io.stderr)])]);
    status = exitStatus(exitCode);
  } catch (error) {
    status = gatewayError(error).toStatus();
  } finally {
    clearInterval(ping);
  }
  if (isStatusReported) send(channels.error, Buffer.from(JSON.stringify(status)));
  else if (status.status !== 'Success') send(channels.error, Buffer.from(stringOf(status.message)));
  webSocket.close(1000);
}

async function finish(stream: Writable): Promise<void> {
  if (stream.writableFinished || stream.destroyed) return;
  await new Promise<void>((resolve) => {
    stream.once('close', resolve);
    stream.end(resolve);
  });
}

function parseSize(payload: Buffer): TerminalSize | undefined {
  try {
    const value: unknown = JSON.parse(payload.toString());
    if (!isObject(value)) return undefined;
    const { Width, Height } = value;
    if (typeof Width !== 'number' || typeof Height !== 'number') return undefined;
    return { columns: Width, rows: Height };
  } catch {
    // A size that cannot be read changes nothing.
    return undefined;
  }
}
