import { arch } from 'node:os';
import { type Architecture, systemCallNumber, systemCalls } from './system-calls.js';

/** linux/filter.h and linux/seccomp.h */
const load = 0x20;
const jumpIfEqual = 0x15;
const jumpIfAnyBit = 0x45;
const jumpIfAtLeast = 0x35;
const answer = 0x06;
const allow = 0x7fff0000;
const fail = (errno: number): number => 0x00050000 | errno;
const notPermitted = fail(1);
const notImplemented = fail(38);

/** Offsets in struct seccomp_data; of the arguments the low halves, on machines with the low byte first. */
const data = { number: 0, architecture: 4, firstArgument: 16 } as const;

/** linux/audit.h */
const auditArchitecture: Readonly<Record<Architecture, number>> = { x64: 0xc000003e, arm64: 0xc00000b7 };
/** Calls of the x32 interface begin here. */
const x32Bit = 0x40000000;
/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET. */
const namespaceFlags = 0x7e020000;
const virtualSockets = 40;

/** One instruction: what, where to go on when true and when false (instructions to skip), operand. */
type Instruction = readonly [code: number, isTrue: number, isFalse: number, operand: number];

/** Whether this machine's system calls are known here. */
export const hasSeccompFilter = arch() in auditArchitecture;

/**
 * The filter of `seccompProfile: RuntimeDefault`, as bubblewrap takes it (struct sock_filter[]):
 * calls that reach the machine rather than the container fail, those that a capability opens
 * unless the container has it. Everything else is allowed.
 */
export function defaultSeccompFilter(
  capabilities: 'all' | readonly string[],
  architecture: Architecture = arch() as Architecture,
): Buffer {
  const has = (name: string): boolean => capabilities === 'all' || capabilities.includes(name);
  const denied = Object.entries(systemCalls)
    .filter(([, { openedBy = [] }]) => !openedBy.some(has))
    .flatMap(([name]) => systemCallNumber(name, architecture) ?? []);
  const program: Instruction[] = [
    [load, 0, 0, data.architecture],
    [jumpIfEqual, 1, 0, auditArchitecture[architecture]],
    [answer, 0, 0, notPermitted],
    [load, 0, 0, data.number],
    ...(architecture === 'x64' ? [[jumpIfAtLeast, 0, 1, x32Bit] as const, refuse(notImplemented)] : []),
    ...denied.flatMap((number) => [[jumpIfEqual, 0, 1, number] as const, refuse(notPermitted)]),
    ...whenCalled('socket', architecture, [[jumpIfEqual, 0, 1, virtualSockets], refuse(notPermitted)]),
  ];
  if (!has('CAP_SYS_ADMIN')) {
    program.push(
      // Its flags are in memory, where no filter sees them; C libraries fall back to clone.
      ...whenCalled('clone3', architecture, [refuse(notImplemented)]),
      ...whenCalled('clone', architecture, [[jumpIfAnyBit, 0, 1, namespaceFlags], refuse(notPermitted)]),
    );
  }
  program.push([answer, 0, 0, allow]);
  return Buffer.concat(program.map(encode));
}

function refuse(verdict: number): Instruction {
  return [answer, 0, 0, verdict];
}

/** Looks at the first argument of one call, and goes on with the number of the call. */
function whenCalled(name: string, architecture: Architecture, checks: readonly Instruction[]): Instruction[] {
  const number = systemCallNumber(name, architecture);
  if (number === undefined) return [];
  const body: Instruction[] = [[load, 0, 0, data.firstArgument], ...checks, [load, 0, 0, data.number]];
  return [[jumpIfEqual, 0, body.length, number], ...body];
}

function encode([code, isTrue, isFalse, operand]: Instruction): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16LE(code, 0);
  bytes.writeUInt8(isTrue, 2);
  bytes.writeUInt8(isFalse, 3);
  bytes.writeUInt32LE(operand, 4);
  return bytes;
}
