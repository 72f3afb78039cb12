import { execa } from 'execa';
import { MeshError } from '../errors/mesh-error.js';
import { runInNetns } from './netns.js';

export interface RunOptions {
  readonly input?: string | undefined;
  /** Milliseconds; default 30 000. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Network namespace to run the command in. */
  readonly netns?: number | undefined;
  readonly cwd?: string | undefined;
}

export interface RunResult {
  readonly stdout: string;
  readonly stderr: string;
  /** 124 when the command was ended by the timeout, as timeout(1) reports it. */
  readonly exitCode: number;
}

const timeoutDefaultMs = 30_000;
const outputMaxBytes = 16 * 1024 * 1024;

/**
 * Runs a command to its end. A non-zero exit is a result, not an exception; a
 * missing binary is MESH1001.
 */
export async function run(command: string, args: readonly string[], o: RunOptions = {}): Promise<RunResult> {
  const start = () =>
    execa(command, [...args], {
      reject: false,
      timeout: o.timeoutMs ?? timeoutDefaultMs,
      maxBuffer: outputMaxBytes,
      stripFinalNewline: false,
      ...(o.input === undefined ? { stdin: 'ignore' as const } : { input: o.input }),
      ...(o.signal === undefined ? {} : { cancelSignal: o.signal }),
      ...(o.env === undefined ? {} : { env: o.env }),
      ...(o.cwd === undefined ? {} : { cwd: o.cwd }),
    });
  // A child belongs to the namespace of the thread that forks it, and execa forks before it returns.
  // Wrapped: a bare promise would be awaited inside the namespace switch.
  const { child } =
    o.netns === undefined ? { child: start() } : runInNetns(o.netns, () => ({ child: start() }));
  const result = await child;
  if (result.code === 'ENOENT') {
    throw new MeshError('MESH1001', `the program ${command} is not installed`, {
      evidence: result.shortMessage,
      cause: result,
    });
  }
  return {
    stdout: String(result.stdout ?? ''),
    stderr: String(result.stderr ?? ''),
    exitCode: result.exitCode ?? (result.timedOut ? 124 : 1),
  };
}
