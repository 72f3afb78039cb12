import { Readable, Writable } from 'node:stream';
import { MeshError } from '../errors/mesh-error.js';
import type { KubeClient } from './client.js';
import { describeSocketError } from './port-forward.js';

export interface ExecTarget {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly command: readonly string[];
  /** Milliseconds until the command must have ended; default 60 000. */
  readonly timeoutMs?: number | undefined;
  readonly stdin?: string | undefined;
}

export interface ExecResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const execTimeoutDefaultMs = 60_000;
const outputMaxBytes = 32 * 1024 * 1024;

/** Runs a command in a container to its end. A non-zero exit is a result; no connection is MESH0210. */
export async function execInPod(client: KubeClient, target: ExecTarget): Promise<ExecResult> {
  const { Exec } = await import('@kubernetes/client-node');
  const exec = new Exec(await client.connection.toKubeConfig());
  const stdout = collector();
  const stderr = collector();
  const fail = (evidence: string) =>
    new MeshError('MESH0210', `cannot run a command in Pod ${target.namespace}/${target.pod}`, { evidence });
  const timeoutMs = target.timeoutMs ?? execTimeoutDefaultMs;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(fail(`no end within ${timeoutMs / 1000} s`)), timeoutMs);
    let isSettled = false;
    const settle = (action: () => void) => {
      if (isSettled) return;
      isSettled = true;
      clearTimeout(timer);
      action();
    };
    exec
      .exec(
        target.namespace,
        target.pod,
        target.container,
        [...target.command],
        stdout.stream,
        stderr.stream,
        target.stdin === undefined ? null : Readable.from([target.stdin]),
        false,
        (status) =>
          settle(() => {
            const exitCause = status.details?.causes?.find((c) => c.reason === 'ExitCode');
            if (status.status !== 'Success' && exitCause === undefined) {
              reject(fail(status.message ?? status.reason ?? 'unknown failure'));
              return;
            }
            resolve({
              exitCode: Number(exitCause?.message ?? 0),
              stdout: stdout.text(),
              stderr: stderr.text(),
            });
          }),
      )
      .then(
        (socket) => {
          socket.on('close', () =>
            settle(() => reject(fail('the connection closed before the command ended'))),
          );
          socket.on('error', (error: Error) => settle(() => reject(fail(error.message))));
        },
        (error: unknown) => settle(() => reject(fail(describeSocketError(error)))),
      );
  });
}

function collector(): { stream: Writable; text: () => string } {
  const chunks: Buffer[] = [];
  let size = 0;
  return {
    stream: new Writable({
      write(chunk: Buffer, _encoding, done) {
        size += chunk.length;
        if (size <= outputMaxBytes) chunks.push(chunk);
        done();
      },
    }),
    text: () => Buffer.concat(chunks).toString('utf8'),
  };
}
