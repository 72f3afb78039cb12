import { once } from 'node:events';
import { closeSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex, Readable, Writable } from 'node:stream';
import { messageOf } from '#base/errors/mesh-error.js';
import { openNetns } from '#base/system/netns.js';
import { connectTcp } from '#base/system/socket.js';
import {
  type AttachRequest,
  type ContainerIo,
  type ContainerTarget,
  type ExecRequest,
  type KubeletGateway,
  KubeletGatewayError,
  type LogRequest,
  type PortForwardRequest,
} from '../../base/kubelet-gateway.js';
import {
  ContainerNotRunningError,
  exitCodeOfChild,
  killInContainer,
  spawnInContainer,
} from '../kubelet/container/container-process.js';
import { logPath } from '../kubelet/container/container-files.js';
import { requireExecutable } from '../kubelet/container/find-executable.js';
import type { ContainerSlot } from '../kubelet/container/container-slot.js';
import type { Kubelet } from '../kubelet/kubelet.js';
import type { PodWorker } from '../kubelet/pod/pod-worker.js';
import type { RunningContainer } from '../runtime/container.js';
import { readLog } from '../runtime/log-reader.js';
import { execWithTerminal } from './terminal-exec.js';

/** Finds pods on the sandbox's nodes for the API server's logs, exec, attach and port-forward. */
export class NodeGateway implements KubeletGateway {
  readonly #kubelets: () => Iterable<Kubelet>;
  readonly #unreachable: (uid: string) => string | undefined;

  /**
   * @param kubelets those that can be reached
   * @param unreachable address of the node of a pod, when that is switched off or cut off
   */
  constructor(
    kubelets: () => Iterable<Kubelet>,
    unreachable: (uid: string) => string | undefined = () => undefined,
  ) {
    this.#kubelets = kubelets;
    this.#unreachable = unreachable;
  }

  async logs(request: LogRequest, sink: Writable, signal: AbortSignal): Promise<void> {
    const { kubelet, worker, slot } = this.#container(request);
    const attempt = request.previous === true ? slot.lastAttempt - 1 : slot.lastAttempt;
    const path = join(kubelet.host.rootfs, logPath(worker.pod, request.container, attempt));
    if (attempt < 0 || !existsSync(path)) throw missingLog(request, slot);
    const live = attempt === slot.lastAttempt ? slot.container?.log : undefined;
    await readLog(
      { path, live },
      {
        follow: request.follow,
        tailLines: request.tailLines,
        since: sinceOf(request),
        timestamps: request.timestamps,
        limitBytes: request.limitBytes,
      },
      { sink, signal },
    );
  }

  async exec(request: ExecRequest, io: ContainerIo, signal: AbortSignal): Promise<{ exitCode: number }> {
    const container = this.#running(request);
    try {
      await requireExecutable(container, request.command[0] ?? '');
      if (request.tty)
        return { exitCode: await execWithTerminal(container, request.command, { io, signal }) };
      return { exitCode: await execWithPipes(container, request.command, { io, signal }) };
    } catch (error) {
      if (error instanceof ContainerNotRunningError)
        throw new KubeletGatewayError(400, `container not found ("${request.container}")`, { cause: error });
      throw new KubeletGatewayError(500, messageOf(error), { cause: error });
    }
  }

  async attach(request: AttachRequest, io: ContainerIo, signal: AbortSignal): Promise<{ exitCode: number }> {
    const { slot } = this.#container(request);
    const container = this.#running(request);
    const onOutput = (stream: 'stdout' | 'stderr', data: Buffer): void => {
      (stream === 'stderr' ? (io.stderr ?? io.stdout) : io.stdout).write(data);
    };
    container.on('output', onOutput);
    io.onResize((size) => container.resize(size));
    const ends: Promise<unknown>[] = [container.exited, aborted(signal)];
    const { stdin } = container;
    if (io.stdin !== undefined && stdin !== undefined) {
      // A terminal outlives its client, and so does the input of a container without stdinOnce:
      // a client that has no more to say leaves those.
      const isLast = slot.spec.stdinOnce === true && slot.spec.tty !== true;
      io.stdin.pipe(stdin, { end: isLast });
      if (!isLast) ends.push(once(io.stdin, 'end'));
    }
    try {
      await Promise.race(ends);
      // The exit code belongs to the pod's status: kubelet ends an attach session without one.
      return { exitCode: 0 };
    } finally {
      container.off('output', onOutput);
    }
  }

  async portForward(request: PortForwardRequest, signal: AbortSignal): Promise<Duplex> {
    const { kubelet, worker } = this.#pod(request.uid, request);
    const { sandbox } = worker;
    if (sandbox === undefined)
      throw new KubeletGatewayError(400, `pod ${request.namespace}/${request.pod} is not running`);
    const { net } = sandbox.namespaces;
    const fd = net === undefined ? undefined : openNetns(kubelet.host.path(net));
    try {
      return await connectTcp({
        netns: fd ?? kubelet.host.netns,
        host: '127.0.0.1',
        port: request.port,
        signal,
      });
    } catch (error) {
      throw new KubeletGatewayError(
        500,
        `failed to connect to localhost:${request.port} inside namespace "${request.namespace}", IPv4: dial tcp4 127.0.0.1:${request.port}: ${messageOf(error)}`,
        { cause: error },
      );
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }

  #pod(
    uid: string,
    { namespace, pod }: { namespace: string; pod: string },
  ): { kubelet: Kubelet; worker: PodWorker } {
    for (const kubelet of this.#kubelets()) {
      const worker = kubelet.worker(uid);
      if (worker !== undefined) return { kubelet, worker };
    }
    const address = this.#unreachable(uid);
    if (address !== undefined)
      throw new KubeletGatewayError(
        500,
        `error dialing backend: dial tcp ${address}:10250: connect: no route to host`,
      );
    throw new KubeletGatewayError(404, `pod ${namespace}/${pod} is not known to its node`);
  }

  #container(target: ContainerTarget): { kubelet: Kubelet; worker: PodWorker; slot: ContainerSlot } {
    const { kubelet, worker } = this.#pod(target.uid, target);
    const slot = worker.slots.find((s) => s.spec.name === target.container);
    if (slot === undefined)
      throw new KubeletGatewayError(404, `container ${target.container} is not in pod ${target.pod}`);
    return { kubelet, worker, slot };
  }

  #running(target: ContainerTarget): RunningContainer {
    const { container } = this.#container(target).slot;
    if (container?.isRunning !== true)
      throw new KubeletGatewayError(400, `container not found ("${target.container}")`);
    return container;
  }
}

/** Why there is no log to show, in kubelet's words. */
function missingLog(request: LogRequest, slot: ContainerSlot): KubeletGatewayError {
  const which = `container "${request.container}" in pod "${request.pod}"`;
  if (request.previous === true)
    return new KubeletGatewayError(400, `previous terminated ${which} not found`);
  const reason = slot.waiting?.reason ?? 'ContainerCreating';
  const words = /^(ErrImagePull|ImagePullBackOff)$/.test(reason)
    ? 'trying and failing to pull image'
    : reason;
  return new KubeletGatewayError(400, `${which} is waiting to start: ${words}`);
}

async function execWithPipes(
  container: RunningContainer,
  command: readonly string[],
  { io, signal }: { io: ContainerIo; signal: AbortSignal },
): Promise<number> {
  const child = spawnInContainer(container, command, [
    io.stdin === undefined ? 'ignore' : 'pipe',
    'pipe',
    'pipe',
  ]);
  const onAbort = (): void => killInContainer(child);
  signal.addEventListener('abort', onAbort, { once: true });
  if (io.stdin !== undefined && child.stdin !== null) {
    child.stdin.on('error', () => undefined); // the command closed its input
    io.stdin.pipe(child.stdin);
  }
  forward(child.stdout, io.stdout);
  forward(child.stderr, io.stderr ?? io.stdout);
  try {
    return await exitCodeOfChild(child);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Pipes without ending the sink, which several sources share and the API server closes. */
function forward(source: Readable | null, sink: Writable): void {
  source?.pipe(sink, { end: false });
}

function sinceOf(request: LogRequest): Date | undefined {
  if (request.sinceTime !== undefined) return new Date(request.sinceTime);
  return request.sinceSeconds === undefined ? undefined : new Date(Date.now() - request.sinceSeconds * 1000);
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}
