import { closeSync, openSync, readSync } from 'node:fs';

/** ELF machine numbers (elf(5), e_machine) of the processors Node.js runs on, by its names for them. */
const machines: Readonly<Record<number, string>> = {
  3: 'ia32',
  8: 'mips',
  21: 'ppc64',
  22: 's390x',
  40: 'arm',
  62: 'x64',
  183: 'arm64',
  243: 'riscv64',
  258: 'loong64',
};
const headerBytes = 20;
const at = { dataEncoding: 5, machine: 18 } as const;
const bigEndian = 2;

/** Why Linux on this processor cannot execute a file; undefined when its first bytes show no reason. */
export function obstacleOf(path: string, arch: string = process.arch): string | undefined {
  const header = Buffer.alloc(headerBytes);
  const fd = openSync(path, 'r');
  let length: number;
  try {
    length = readSync(fd, header);
  } finally {
    closeSync(fd);
  }
  if (length === 0) return 'is empty';
  if (header.toString('latin1', 0, 2) === '#!') return undefined;
  if (length < headerBytes || header.toString('latin1', 0, 4) !== '\x7fELF') return 'is no program for Linux';
  const isBig = header[at.dataEncoding] === bigEndian;
  const machine = isBig ? header.readUInt16BE(at.machine) : header.readUInt16LE(at.machine);
  const built = machines[machine] ?? `machine ${machine}`;
  return built === arch ? undefined : `is built for ${built}, and this machine is ${arch}`;
}
