const magic = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);
const headerBytes = 64;
const class64 = 2;
const littleEndian = 1;
/** e_machine of the architectures images are built for. */
export const machines = { amd64: 62, arm64: 183 } as const;
const segment = { load: 1, dynamic: 2, interpreter: 3 } as const;
const tags = { end: 0, needed: 1, stringTable: 5 } as const;
const dynamicEntryBytes = 16;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

/** What a program or library needs to be loaded. */
export interface ElfNeeds {
  readonly machine: number;
  /** The loader it names; undefined for libraries and static programs. */
  readonly interpreter: string | undefined;
  readonly libraries: readonly string[];
}

/** Reads a 64-bit little-endian ELF file; undefined for what is none. */
export function readElf(bytes: Buffer): ElfNeeds | undefined {
  if (!isElf(bytes)) return undefined;
  const segments = segmentsOf(bytes);
  const interpreter = segments.find(({ type }) => type === segment.interpreter);
  return {
    machine: bytes.readUInt16LE(18),
    interpreter: interpreter === undefined ? undefined : textAt(bytes, interpreter.offset),
    libraries: neededOf(bytes, segments),
  };
}

/** The file without symbols and debugging information: what no segment is loaded from. Other files stay as they are. */
export function stripElf(bytes: Buffer): Buffer {
  if (!isElf(bytes)) return bytes;
  const segments = segmentsOf(bytes);
  const end = Math.max(headerBytes, ...segments.map(({ offset, size }) => offset + size));
  const stripped = Buffer.from(bytes.subarray(0, end));
  // The table of sections lay behind the end: offset, count and index of its names.
  stripped.writeBigUInt64LE(0n, 40);
  stripped.writeUInt16LE(0, 60);
  stripped.writeUInt16LE(0, 62);
  return stripped;
}

function isElf(bytes: Buffer): boolean {
  return (
    bytes.length > headerBytes &&
    bytes.subarray(0, 4).equals(magic) &&
    bytes[4] === class64 &&
    bytes[5] === littleEndian
  );
}

function segmentsOf(bytes: Buffer): Segment[] {
  const start = Number(bytes.readBigUInt64LE(32));
  const entryBytes = bytes.readUInt16LE(54);
  return Array.from({ length: bytes.readUInt16LE(56) }, (_, i) => {
    const at = start + i * entryBytes;
    const number = (offset: number): number => Number(bytes.readBigUInt64LE(at + offset));
    return { type: bytes.readUInt32LE(at), offset: number(8), address: number(16), size: number(32) };
  });
}

function neededOf(bytes: Buffer, segments: readonly Segment[]): string[] {
  const dynamic = segments.find(({ type }) => type === segment.dynamic);
  if (dynamic === undefined) return [];
  const needed: number[] = [];
  let strings = 0;
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += dynamicEntryBytes) {
    const tag = Number(bytes.readBigUInt64LE(at));
    const value = Number(bytes.readBigUInt64LE(at + 8));
    if (tag === tags.end) break;
    if (tag === tags.needed) needed.push(value);
    if (tag === tags.stringTable) strings = offsetOf(value, segments);
  }
  return needed.map((offset) => textAt(bytes, strings + offset));
}

function offsetOf(address: number, segments: readonly Segment[]): number {
  const home = segments.find(
    (s) => s.type === segment.load && address >= s.address && address < s.address + s.size,
  );
  return home === undefined ? 0 : address - home.address + home.offset;
}

function textAt(bytes: Buffer, offset: number): string {
  return bytes.toString('latin1', offset, bytes.indexOf(0, offset));
}
