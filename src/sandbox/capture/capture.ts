import { writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { openPacketSocket } from '../base/packet-socket.js';

export interface CaptureOptions {
  readonly interfaceName: string;
  /** How long to look; undefined: until the signal. */
  readonly seconds: number | undefined;
  readonly signal: AbortSignal;
  /** File descriptor the capture goes to. */
  readonly out: number;
  /** Called when frames are being seen. */
  readonly onListening: () => void;
}

const pollMs = 2;
/** Largest frame: 64 KiB of segmented data handed over in one piece, and its headers. */
const frameMaxBytes = 65_536 + 256;
const linkTypeEthernet = 1;

/**
 * Writes every frame of an interface in libpcap format, as tcpdump, Wireshark and this project's tests read it.
 * Resolves to the number of frames that were missed.
 * tcpdump itself cannot be used here: it insists on changing its groups, which an ordinary user's namespace forbids.
 */
export async function capture(o: CaptureOptions): Promise<number> {
  const socket = openPacketSocket(o.interfaceName);
  const deadline = o.seconds === undefined ? undefined : Date.now() + o.seconds * 1000;
  try {
    writeAll(o.out, fileHeader());
    o.onListening();
    const frame = Buffer.alloc(frameMaxBytes);
    while (!o.signal.aborted && (deadline === undefined || Date.now() < deadline)) {
      const length = socket.read(frame);
      if (length === undefined) await delay(pollMs);
      else writeAll(o.out, record(frame.subarray(0, Math.min(length, frame.length)), length));
    }
    return socket.takeDropCount();
  } finally {
    socket.close();
  }
}

function fileHeader(): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(frameMaxBytes, 16);
  header.writeUInt32LE(linkTypeEthernet, 20);
  return header;
}

function record(frame: Buffer, wireLength: number): Buffer {
  const header = Buffer.alloc(16);
  const now = Date.now();
  header.writeUInt32LE(Math.floor(now / 1000), 0);
  header.writeUInt32LE((now % 1000) * 1000, 4);
  header.writeUInt32LE(frame.length, 8);
  header.writeUInt32LE(wireLength, 12);
  return Buffer.concat([header, frame]);
}

/** The output may be a pipe that takes only a part at a time, or nothing for a moment. */
function writeAll(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
}
