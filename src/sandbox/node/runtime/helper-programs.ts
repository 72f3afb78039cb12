import { constants } from 'node:fs';
import { access, copyFile, mkdir, open, realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { run } from '#base/system/run.js';

/**
 * The few programs of this machine that take on a user, give up capabilities, lead
 * a terminal's session, and prepare a file system from inside. They run inside containers, whose images may hold nothing of
 * the kind: so they come with their own dynamic loader and libraries, in one folder
 * below /dev that no image has.
 */
const programs = ['setpriv', 'setsid', 'env', 'mount', 'sh', 'yes'] as const;
export type HelperProgram = (typeof programs)[number];

/** Where a container sees them. */
export const helperFolder = '/dev/.sandbox';

const loaderName = 'ld.so';
const searchPath = ['/usr/bin', '/bin', '/usr/sbin', '/sbin'];

/** The command line of a helper, to be followed by the program it hands over to. */
export function helperCommand(program: HelperProgram, ...args: string[]): string[] {
  const at = (name: string): string => `${helperFolder}/${name}`;
  return [at(loaderName), '--library-path', helperFolder, at(program), ...args];
}

/** Whether a process (by the path of its executable) is still on its way into the container. */
export function isOnTheWay(executable: string): boolean {
  return executable.startsWith(`${helperFolder}/`) || /\/(bwrap|nsenter)$/.test(executable);
}

/**
 * Splits variables that change how the dynamic loader works from the others: they are
 * meant for the container's program, and could keep a helper or nsenter from running.
 */
export function separateLoaderVariables(env: Readonly<Record<string, string>>): {
  env: Record<string, string>;
  assignments: string[];
} {
  const plain: Record<string, string> = {};
  const assignments: string[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (/^(LD_|GLIBC_TUNABLES$|MALLOC_)/.test(name)) assignments.push(`${name}=${value}`);
    else plain[name] = value;
  }
  return { env: plain, assignments };
}

/** Copies the helpers, their libraries and their loader into a folder. Rejects when one is not installed. */
export async function writeHelperPrograms(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const files = new Map<string, string>();
  await Promise.all(
    programs.map(async (program) => {
      const path = await findProgram(program);
      files.set(program, path);
      const loader = await loaderOf(path);
      if (loader === undefined) return; // a static program runs by itself, but not through a loader
      files.set(loaderName, loader);
      const { stdout } = await run(loader, ['--list', path], { env: {} });
      for (const [, library = ''] of stdout.matchAll(/=> (\/\S+) \(/g)) files.set(basename(library), library);
    }),
  );
  if (!files.has(loaderName))
    throw new Error(`${programs.join(', ')} of this machine are not dynamic programs`);
  await Promise.all(
    [...files].map(([name, source]) => copyFile(source, join(folder, name), constants.COPYFILE_FICLONE)),
  );
}

async function findProgram(name: string): Promise<string> {
  for (const folder of searchPath) {
    const path = join(folder, name);
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return realpath(path);
  }
  throw new Error(`the program ${name} is not installed`);
}

/** The interpreter that an ELF program names (PT_INTERP); undefined for a static one. */
async function loaderOf(path: string): Promise<string | undefined> {
  const headMaxBytes = 4096; // program headers follow the ELF header at once
  const interpreterType = 3;
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(headMaxBytes), 0, headMaxBytes, 0);
    const is64 = buffer[4] === 2;
    const isLittle = buffer[5] === 1;
    if (bytesRead < 64 || buffer.toString('latin1', 1, 4) !== 'ELF') return undefined;
    const u16 = (at: number): number => (isLittle ? buffer.readUInt16LE(at) : buffer.readUInt16BE(at));
    const u32 = (at: number): number => (isLittle ? buffer.readUInt32LE(at) : buffer.readUInt32BE(at));
    const word = (at: number): number =>
      is64 ? Number(isLittle ? buffer.readBigUInt64LE(at) : buffer.readBigUInt64BE(at)) : u32(at);
    const start = word(is64 ? 32 : 28);
    const entrySize = u16(is64 ? 54 : 42);
    const count = u16(is64 ? 56 : 44);
    for (let i = 0; i < count; i++) {
      const at = start + i * entrySize;
      if (at + entrySize > bytesRead || u32(at) !== interpreterType) continue;
      const offset = word(at + (is64 ? 8 : 4));
      const size = word(at + (is64 ? 32 : 16));
      const text = Buffer.alloc(size);
      await file.read(text, 0, size, offset);
      return text.toString('latin1').replace(/\0.*$/s, '');
    }
    return undefined;
  } finally {
    await file.close();
  }
}
