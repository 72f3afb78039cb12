import { closeSync, openSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { keepFilesFromChildren } from '#sandbox/base/inherited-files.js';
import { libcHandle } from '#base/system/libc.js';

const closeOnExec = 0o2000000;

function flagsOf(fd: number): number {
  const [, flags = ''] = /^flags:\s+(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')) ?? [];
  return Number.parseInt(flags, 8);
}

it('keeps inherited files from children', () => {
  const own = openSync('/dev/null', 'r');
  // A copy made by the kernel is passed on to children, as an inherited file is.
  const dup = libcHandle.func('int dup(int fd)');
  const inherited = dup(own) as number;
  const outputBefore = flagsOf(1);
  try {
    expect(flagsOf(inherited) & closeOnExec).toBe(0);
    keepFilesFromChildren();
    expect(flagsOf(inherited) & closeOnExec).toBe(closeOnExec);
    expect(flagsOf(1)).toBe(outputBefore);
  } finally {
    closeSync(inherited);
    closeSync(own);
  }
});
