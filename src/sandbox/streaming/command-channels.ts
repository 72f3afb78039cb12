import { PassThrough, Writable } from 'node:stream';
import type { RawData, WebSocket } from 'ws';
import { stringOf } from '../base/json.js';
import { type Command, runCommand } from './command.js';
import { WindowSize } from './terminal-size.js';
import { bytesOf } from './web-socket-duplex.js';

const channels = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;
const pingIntervalMs = 15_000;

/** Runs one exec or attach session over a WebSocket of the channel.k8s.io protocols, to its end. */
export async function serveCommandChannels(webSocket: WebSocket, command: Command): Promise<void> {
  const isBase64 = webSocket.protocol.startsWith('v4.base64') || webSocket.protocol.startsWith('base64');
  const isStatusReported = webSocket.protocol.startsWith('v');
  const stdin = command.hasStdin ? new PassThrough() : undefined;
  const window = new WindowSize();

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
    } else if (channel === channels.resize) window.take(payload.toString());
    else if (channel === channels.close && payload[0] === channels.stdin) stdin?.end();
  });
  webSocket.once('close', () => stdin?.end());
  const ping = setInterval(() => webSocket.ping(), pingIntervalMs);
  const status = await runCommand(command, {
    stdin,
    stdout: output(channels.stdout),
    stderr: command.hasTerminal ? undefined : output(channels.stderr),
    onResize: (callback) => window.onResize(callback),
  });
  clearInterval(ping);
  if (isStatusReported) send(channels.error, Buffer.from(JSON.stringify(status)));
  else if (status.status !== 'Success') send(channels.error, Buffer.from(stringOf(status.message)));
  webSocket.close(1000);
}
