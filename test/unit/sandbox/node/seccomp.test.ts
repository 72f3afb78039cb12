import { describe, expect, test } from 'vitest';
import { decideSeccomp } from '#sandbox/node/kubelet/container/container-security.js';
import { defaultSeccompFilter } from '#sandbox/node/runtime/seccomp-filter.js';
import { makeContainer, makePod } from './make-pod.js';

const x64 = 0xc000003e;

/** What the kernel would answer: classic BPF (bpf(4)), as far as seccomp filters of ours use it. */
function verdict(
  program: Buffer,
  call: { architecture?: number; number: number; firstArgument?: number },
): number {
  const data: Readonly<Record<number, number>> = {
    0: call.number,
    4: call.architecture ?? x64,
    16: call.firstArgument ?? 0,
  };
  let accumulator = 0;
  for (let at = 0; at < program.length / 8; at++) {
    const base = at * 8;
    const operand = program.readUInt32LE(base + 4);
    const jump = (isMet: boolean): void => {
      at += program.readUInt8(base + (isMet ? 2 : 3));
    };
    switch (program.readUInt16LE(base)) {
      case 0x20:
        accumulator = data[operand] ?? Number.NaN;
        break;
      case 0x15:
        jump(accumulator === operand);
        break;
      case 0x35:
        jump(accumulator >= operand);
        break;
      case 0x45:
        jump((accumulator & operand) !== 0);
        break;
      case 0x06:
        return operand;
      default:
        throw new Error('an instruction that no filter needs');
    }
  }
  throw new Error('the program has no end');
}

const allowed = 0x7fff0000;
const notPermitted = 0x00050001;
const notImplemented = 0x00050026;

describe('the filter of RuntimeDefault', () => {
  const plain = defaultSeccompFilter(['CAP_CHOWN'], 'x64');
  const open = defaultSeccompFilter('all', 'x64');

  test.each([
    ['read', 0, allowed, allowed],
    ['execve', 59, allowed, allowed],
    ['ptrace', 101, allowed, allowed],
    ['unshare', 272, notPermitted, allowed],
    ['mount', 165, notPermitted, allowed],
    ['keyctl', 250, notPermitted, notPermitted],
    ['io_uring_setup', 425, notPermitted, notPermitted],
    ['clone3', 435, notImplemented, allowed],
    ['a call of the x32 interface', 0x40000000, notImplemented, notImplemented],
  ])('%s', (_name, number, withoutRights, withAll) => {
    expect(verdict(plain, { number })).toBe(withoutRights);
    expect(verdict(open, { number })).toBe(withAll);
  });

  test('looks at arguments: new namespaces, sockets to the machine', () => {
    const thread = 0x003d0f00;
    expect(verdict(plain, { number: 56, firstArgument: thread })).toBe(allowed);
    expect(verdict(plain, { number: 56, firstArgument: 0x10000000 })).toBe(notPermitted);
    expect(verdict(open, { number: 56, firstArgument: 0x10000000 })).toBe(allowed);
    expect(verdict(open, { number: 41, firstArgument: 2 })).toBe(allowed);
    expect(verdict(open, { number: 41, firstArgument: 40 })).toBe(notPermitted);
  });

  test('refuses the calls of another architecture, whose numbers mean other things', () => {
    const i386 = 0x40000003;
    expect(verdict(open, { architecture: i386, number: 0 })).toBe(notPermitted);
    const arm = defaultSeccompFilter([], 'arm64');
    const arm64 = 0xc00000b7;
    expect(verdict(arm, { architecture: arm64, number: 97 })).toBe(notPermitted);
    expect(verdict(arm, { architecture: arm64, number: 63 })).toBe(allowed);
  });
});

describe('a seccomp profile', () => {
  const pod = makePod({ spec: { securityContext: { seccompProfile: { type: 'RuntimeDefault' } } } });
  const container = (type: string, privileged = false) =>
    makeContainer({ securityContext: { seccompProfile: { type }, privileged } });

  test('of the pod is its containers', () => {
    expect(decideSeccomp(pod, makeContainer({}), true).hasFilter).toBe(true);
    expect(decideSeccomp(pod, container('Unconfined'), true).hasFilter).toBe(false);
    expect(decideSeccomp(makePod(), makeContainer({}), true).hasFilter).toBe(false);
  });

  test('is nothing to privileged containers', () => {
    expect(decideSeccomp(pod, container('RuntimeDefault', true), true)).toMatchObject({ hasFilter: false });
  });

  test('is never taken to be in force where it is not', () => {
    expect(decideSeccomp(makePod(), container('Localhost'), true).refusal).toContain('cannot load');
    const unknown = decideSeccomp(pod, makeContainer({}), false);
    expect(unknown.hasFilter).toBe(false);
    expect(unknown.deviation).toContain('not in force');
  });
});
