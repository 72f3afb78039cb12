import { Readable, Writable } from 'node:stream';
import { MeshError } from '../errors/mesh-error.js';
import type { KubeClient } from './client.js';
import { describeSocketError } from './port-forward.js';

export interface ExecTarget {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly command: readonly string[];
  /** Milliseconds until the command must have ended; default 60 000, and no more than the command has. */
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
  const left = (client.limits?.deadlineMs ?? Number.POSITIVE_INFINITY) - performance.now();
  const timeoutMs = Math.max(0, Math.min(target.timeoutMs ?? execTimeoutDefaultMs, left));
  return new Promise((resolve, reject) => {
    let isSettled = false;
    let connection: { terminate?: () => void } | undefined;
    const settle = (action: () => void) => {
      if (isSettled) return;
      isSettled = true;
      clearTimeout(timer);
      connection?.terminate?.();
      action();
    };
    const timer = setTimeout(
      () => settle(() => reject(fail(`no end within ${Math.round(timeoutMs / 100) / 10} s`))),
      timeoutMs,
    );
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
          connection = socket as { terminate?: () => void };
          if (isSettled) connection.terminate?.();
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
