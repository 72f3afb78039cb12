import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Identity } from './report.js';

/** Key of RFC 6455 section 1.3. */
const handshakeKey = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** Larger frames are refused with close code 1009. */
const frameMaxBytes = 1024 * 1024;
/** How long a peer that was told of the end may go on sending. */
const lingerMs = 5_000;

interface Frame {
  /** First byte as received: FIN, reserved bits, opcode. */
  readonly head: number;
  readonly payload: Buffer;
  readonly rest: Buffer;
}

/** Answers the upgrade of a WebSocket client (RFC 6455) and sends every message back; other upgrades get 400. */
export function upgradeToWebSocket(o: {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly identity: Identity;
}): void {
  const { request, socket } = o;
  const key = request.headers['sec-websocket-key'];
  socket.on('error', () => socket.destroy());
  if (request.headers.upgrade?.toLowerCase() !== 'websocket' || key === undefined) {
    socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
    return;
  }
  const accept = createHash('sha1')
    .update(key + handshakeKey)
    .digest('base64');
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${accept}\r\nx-echo-name: ${o.identity.name}\r\n\r\n`,
  );
  let buffered = Buffer.from(o.head);
  let isClosing = false;
  const close = (payload: Buffer): void => {
    isClosing = true;
    buffered = Buffer.alloc(0);
    socket.end(writeFrame(0x88, payload));
    const timer = setTimeout(() => socket.destroy(), lingerMs).unref();
    socket.once('close', () => clearTimeout(timer));
  };
  const drain = (): void => {
    for (;;) {
      const frame = readFrame(buffered);
      if (frame === undefined) return;
      if (frame === 'too-big') {
        close(Buffer.from([0x03, 0xf1]));
        return;
      }
      buffered = Buffer.from(frame.rest);
      const opcode = frame.head & 0x0f;
      if (opcode === 0x8) {
        close(frame.payload);
        return;
      }
      // Pings become pongs; text, binary and continuation frames go back as they came.
      if (opcode === 0x9) socket.write(writeFrame(0x8a, frame.payload));
      else if (opcode <= 0x2) socket.write(writeFrame(frame.head, frame.payload));
    }
  };
  socket.on('data', (chunk: Buffer) => {
    // Read and dropped: a reset could overtake the close frame.
    if (isClosing) return;
    buffered = Buffer.concat([buffered, chunk]);
    drain();
  });
  socket.on('end', () => socket.end());
  drain();
}

function readFrame(bytes: Buffer): Frame | 'too-big' | undefined {
  if (bytes.length < 2) return undefined;
  const head = bytes.readUInt8(0);
  const second = bytes.readUInt8(1);
  const masked = (second & 0x80) !== 0;
  let length = second & 0x7f;
  let offset = 2;
  if (length === 126) {
    if (bytes.length < 4) return undefined;
    length = bytes.readUInt16BE(2);
    offset = 4;
  } else if (length === 127) {
    if (bytes.length < 10) return undefined;
    const long = bytes.readBigUInt64BE(2);
    if (long > BigInt(frameMaxBytes)) return 'too-big';
    length = Number(long);
    offset = 10;
  }
  if (length > frameMaxBytes) return 'too-big';
  const maskAt = offset;
  if (masked) offset += 4;
  if (bytes.length < offset + length) return undefined;
  const payload = Buffer.from(bytes.subarray(offset, offset + length));
  if (masked)
    for (let i = 0; i < length; i++) payload[i] = (payload[i] ?? 0) ^ (bytes[maskAt + (i % 4)] ?? 0);
  return { head, payload, rest: bytes.subarray(offset + length) };
}

function writeFrame(head: number, payload: Buffer): Buffer {
  const { length } = payload;
  const prefix =
    length < 126
      ? Buffer.from([head, length])
      : length < 65_536
        ? Buffer.from([head, 126, length >> 8, length & 0xff])
        : Buffer.concat([Buffer.from([head, 127, 0, 0, 0, 0]), uint32(length)]);
  return Buffer.concat([prefix, payload]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
