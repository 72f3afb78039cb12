/** One captured TCP segment. */
export interface Segment {
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: Buffer;
}

const ethernetHeaderBytes = 14;
const linkTypeEthernet = 1;

/**
 * The TCP segments over IPv4 in a capture file (libpcap format, Ethernet link type).
 * Throws when the file is of another kind, so that an unread capture is never taken for a clean one.
 */
export function parsePcap(file: Buffer): readonly Segment[] {
  const magic = file.length >= 24 ? file.readUInt32LE(0) : 0;
  if (magic !== 0xa1b2c3d4) throw new Error(`not a little-endian pcap file (${file.length} bytes)`);
  if (file.readUInt32LE(20) !== linkTypeEthernet) throw new Error('not an Ethernet capture');
  const segments: Segment[] = [];
  for (let at = 24; at + 16 <= file.length; ) {
    const size = file.readUInt32LE(at + 8);
    const segment = parseFrame(file.subarray(at + 16, at + 16 + size));
    if (segment !== undefined) segments.push(segment);
    at += 16 + size;
  }
  return segments;
}

function parseFrame(frame: Buffer): Segment | undefined {
  if (frame.length < ethernetHeaderBytes + 20 || frame.readUInt16BE(12) !== 0x0800) return undefined;
  const ip = frame.subarray(ethernetHeaderBytes);
  const headerBytes = (ip.readUInt8(0) & 0x0f) * 4;
  if (ip.readUInt8(9) !== 6) return undefined;
  const tcp = ip.subarray(headerBytes, ip.readUInt16BE(2));
  if (tcp.length < 20) return undefined;
  return {
    source: ip.subarray(12, 16).join('.'),
    destination: ip.subarray(16, 20).join('.'),
    sourcePort: tcp.readUInt16BE(0),
    destinationPort: tcp.readUInt16BE(2),
    payload: tcp.subarray((tcp.readUInt8(12) >> 4) * 4),
  };
}

export interface WireFacts {
  /** Segments that carry data. */
  readonly dataSegments: number;
  /** Data segments in which the marker can be read. */
  readonly readableSegments: number;
  /** Data segments of port 15008 that begin a TLS record (handshake or application data). */
  readonly tlsSegments: number;
  /** Data segments on another port than 15008. */
  readonly otherSegments: number;
}

/** What a capture shows of traffic that carried `marker` in its requests. */
export function wireFacts(segments: readonly Segment[], marker: string): WireFacts {
  const data = segments.filter((s) => s.payload.length > 0);
  const isHbone = (s: Segment) => s.sourcePort === 15008 || s.destinationPort === 15008;
  const isTls = (s: Segment) => {
    const type = s.payload[0] ?? 0;
    return type >= 0x14 && type <= 0x17 && s.payload[1] === 3;
  };
  return {
    dataSegments: data.length,
    readableSegments: data.filter((s) => s.payload.includes(marker)).length,
    tlsSegments: data.filter((s) => isHbone(s) && isTls(s)).length,
    otherSegments: data.filter((s) => !isHbone(s)).length,
  };
}
