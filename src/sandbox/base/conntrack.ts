import { bytesToIp, type IpFamily, unmapIp } from '#base/net/address.js';
import { checkCall, lastErrno, libc, SystemCallError } from '#base/system/libc.js';
import { runInNetns } from '#base/system/netns.js';

const afNetlink = 16;
const sockRawCloexec = 3 | 0o2000000;
const netlinkNetfilter = 12;
const receiveBytes = 1 << 16;
const headerBytes = 16;
const familyHeaderBytes = 4;
const flagRequest = 1;
const flagAck = 4;
const flagDump = 0x300;
const typeError = 2;
const typeDone = 3;
const subsystem = 1 << 8;
const commandGet = 1;
const commandDelete = 2;
const nested = 0x8000;
const typeMask = 0x3fff;
const eintr = 4;

/** Attributes of a tracked connection (linux/netfilter/nfnetlink_conntrack.h). */
const attribute = { original: 1, reply: 2, zone: 18 } as const;
const tupleAttribute = { ip: 1, protocol: 2 } as const;
const ipAttribute = { sourceV4: 1, destinationV4: 2, sourceV6: 3, destinationV6: 4 } as const;
const protocolAttribute = { number: 1, sourcePort: 2, destinationPort: 3 } as const;

/** One direction of a tracked connection. */
export interface FlowTuple {
  readonly protocol: number;
  /** IP addresses as text. */
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** A connection the kernel tracks: as it was begun, and as its replies look. */
export interface TrackedFlow {
  readonly original: FlowTuple;
  readonly reply: FlowTuple;
}

/**
 * Forgets the tracked connections of a network namespace that `isStale` picks; their
 * next packet is routed anew. Returns how many. Throws {@link SystemCallError} when the
 * kernel does not offer the interface.
 */
export function forgetFlows(o: {
  readonly netns: number | undefined;
  readonly family: IpFamily;
  readonly isStale: (flow: TrackedFlow) => boolean;
}): number {
  const open = (): number => checkCall('socket', libc.socket(afNetlink, sockRawCloexec, netlinkNetfilter));
  const fd = o.netns === undefined ? open() : runInNetns(o.netns, open);
  const inet = o.family === 'IPv4' ? 2 : 10;
  try {
    send(fd, message(commandGet, flagRequest | flagDump, inet, Buffer.alloc(0)));
    const doomed: Buffer[] = [];
    receive(fd, (body) => {
      const attributes = readAttributes(body.subarray(familyHeaderBytes));
      const original = tupleOf(attributes.get(attribute.original));
      const reply = tupleOf(attributes.get(attribute.reply));
      if (original === undefined || reply === undefined || !o.isStale({ original, reply })) return;
      const zone = attributes.get(attribute.zone);
      doomed.push(
        Buffer.concat([
          encodeAttribute(attribute.original | nested, attributes.get(attribute.original) ?? Buffer.alloc(0)),
          ...(zone === undefined ? [] : [encodeAttribute(attribute.zone, zone)]),
        ]),
      );
    });
    for (const payload of doomed) {
      send(fd, message(commandDelete, flagRequest | flagAck, inet, payload));
      // It may have ended by itself meanwhile.
      receive(fd, () => undefined, { isErrorFine: true });
    }
    return doomed.length;
  } finally {
    libc.close(fd);
  }
}

function message(command: number, flags: number, family: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(headerBytes + familyHeaderBytes);
  head.writeUInt32LE(head.length + payload.length, 0);
  head.writeUInt16LE(subsystem | command, 4);
  head.writeUInt16LE(flags, 6);
  head.writeUInt32LE(1, 8);
  head.writeUInt8(family, headerBytes);
  return Buffer.concat([head, payload]);
}

function send(fd: number, data: Buffer): void {
  checkCall('send', libc.send(fd, data, data.length, 0));
}

/** Reads until the kernel says that this was all. */
function receive(
  fd: number,
  onBody: (body: Buffer) => void,
  { isErrorFine = false }: { readonly isErrorFine?: boolean } = {},
): void {
  const buffer = Buffer.alloc(receiveBytes);
  for (;;) {
    const length = libc.recv(fd, buffer, buffer.length, 0);
    if (length < 0) {
      if (lastErrno() === eintr) continue;
      throw new SystemCallError('recv', lastErrno(), '(conntrack)');
    }
    for (let at = 0; at + headerBytes <= length; ) {
      const size = buffer.readUInt32LE(at);
      if (size < headerBytes || at + size > length) return;
      const type = buffer.readUInt16LE(at + 4);
      if (type === typeDone) return;
      if (type === typeError) {
        const code = -buffer.readInt32LE(at + headerBytes);
        if (code !== 0 && !isErrorFine) throw new SystemCallError('netlink', code, '(conntrack)');
        return;
      }
      onBody(buffer.subarray(at + headerBytes, at + size));
      at += align(size);
    }
  }
}

function readAttributes(data: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let at = 0; at + 4 <= data.length; ) {
    const size = data.readUInt16LE(at);
    if (size < 4 || at + size > data.length) break;
    found.set(data.readUInt16LE(at + 2) & typeMask, Buffer.from(data.subarray(at + 4, at + size)));
    at += align(size);
  }
  return found;
}

function encodeAttribute(type: number, data: Buffer): Buffer {
  const all = Buffer.alloc(align(4 + data.length));
  all.writeUInt16LE(4 + data.length, 0);
  all.writeUInt16LE(type, 2);
  data.copy(all, 4);
  return all;
}

function tupleOf(data: Buffer | undefined): FlowTuple | undefined {
  if (data === undefined) return undefined;
  const parts = readAttributes(data);
  const ip = readAttributes(parts.get(tupleAttribute.ip) ?? Buffer.alloc(0));
  const protocol = readAttributes(parts.get(tupleAttribute.protocol) ?? Buffer.alloc(0));
  const source = ip.get(ipAttribute.sourceV4) ?? ip.get(ipAttribute.sourceV6);
  const destination = ip.get(ipAttribute.destinationV4) ?? ip.get(ipAttribute.destinationV6);
  const number = protocol.get(protocolAttribute.number)?.[0];
  if (source === undefined || destination === undefined || number === undefined) return undefined;
  const port = (type: number): number => {
    const value = protocol.get(type);
    return value === undefined || value.length < 2 ? 0 : value.readUInt16BE(0);
  };
  return {
    protocol: number,
    source: textOf(source),
    destination: textOf(destination),
    sourcePort: port(protocolAttribute.sourcePort),
    destinationPort: port(protocolAttribute.destinationPort),
  };
}

function align(size: number): number {
  return (size + 3) & ~3;
}

/** The kernel tracks IPv4 connections of dual-stack sockets under their IPv4 addresses. */
function textOf(address: Uint8Array): string {
  return unmapIp(bytesToIp(address) ?? '');
}
