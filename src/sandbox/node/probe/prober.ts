import type { Socket } from 'node:net';
import { messageOf } from '#base/errors/mesh-error.js';
import { connectTcp } from '#base/system/socket.js';
import type { ProbeHandler } from '#base/kube/types.js';
import type { ContainerSpec } from '../model/pod.js';
import { checkGrpcHealth } from './grpc-health.js';
import { httpProbe } from './http-probe.js';

/** The outcome of one attempt. */
export interface ProbeOutcome {
  readonly isSuccess: boolean;
  /** A success worth an event (an HTTP redirect to another host). */
  readonly isWarning?: boolean;
  /** As kubelet words it in the Unhealthy event. */
  readonly message: string;
}

export interface ProbeTarget {
  readonly container: ContainerSpec;
  readonly podIp: string;
  /** The node's network namespace: probes come from the node, as kubelet's do. */
  readonly netns: number;
  /** Runs a command in the container. */
  readonly exec: (
    command: readonly string[],
    timeoutMs: number,
  ) => Promise<{ exitCode: number; output: string }>;
}

const messageMaxChars = 1024;

/** Runs a probe or lifecycle handler once; never throws. */
export async function runHandler(
  handler: ProbeHandler,
  target: ProbeTarget,
  timeoutMs: number,
): Promise<ProbeOutcome> {
  try {
    const outcome = await attempt(handler, target, timeoutMs);
    return { ...outcome, message: outcome.message.slice(0, messageMaxChars) };
  } catch (error) {
    return { isSuccess: false, message: messageOf(error) };
  }
}

async function attempt(handler: ProbeHandler, target: ProbeTarget, timeoutMs: number): Promise<ProbeOutcome> {
  const { exec, httpGet, tcpSocket, grpc } = handler;
  if (exec !== undefined) {
    const { exitCode, output } = await target.exec(exec.command ?? [], timeoutMs);
    return { isSuccess: exitCode === 0, message: output };
  }
  if (httpGet !== undefined) {
    return httpProbe(httpGet, {
      host: hostOf(httpGet.host, target),
      port: resolvePort(httpGet.port, target.container),
      timeoutMs,
      open: (at) => open(target, at),
    });
  }
  if (tcpSocket !== undefined) {
    const port = resolvePort(tcpSocket.port, target.container);
    const socket = await open(target, { host: hostOf(tcpSocket.host, target), port, timeoutMs });
    socket.destroy();
    return { isSuccess: true, message: '' };
  }
  if (grpc === undefined) return { isSuccess: true, message: '' };
  const { port, service = '' } = grpc;
  try {
    const socket = await open(target, { host: target.podIp, port, timeoutMs });
    const problem = await checkGrpcHealth(socket, { service, timeoutMs });
    return { isSuccess: problem === undefined, message: problem ?? '' };
  } catch (error) {
    const message = `timeout: failed to connect service "${target.podIp}:${port}" within ${timeoutMs / 1000}s: ${messageOf(error)}`;
    return { isSuccess: false, message };
  }
}

function hostOf(host: string | undefined, target: ProbeTarget): string {
  return host === undefined || host === '' ? target.podIp : host;
}

/** Errors read as those of a Go program, which people search for. */
async function open(
  target: ProbeTarget,
  o: { host: string; port: number; timeoutMs: number },
): Promise<Socket> {
  try {
    return await connectTcp({ netns: target.netns, host: o.host, port: o.port, timeoutMs: o.timeoutMs });
  } catch (error) {
    throw new Error(`dial tcp ${o.host}:${o.port}: ${dialProblem(error)}`, { cause: error });
  }
}

function dialProblem(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : messageOf(error);
  if (code.includes('ECONNREFUSED')) return 'connect: connection refused';
  if (code.includes('EHOSTUNREACH')) return 'connect: no route to host';
  if (code.includes('ENETUNREACH')) return 'connect: network is unreachable';
  if (code.includes('ECONNRESET')) return 'read: connection reset by peer';
  if (/ETIMEDOUT|timed? ?out/i.test(code)) return 'i/o timeout';
  return messageOf(error);
}

/** A port by number or by the name the container gives it. */
function resolvePort(port: number | string, container: ContainerSpec): number {
  const number = typeof port === 'number' ? port : Number(port);
  if (Number.isInteger(number)) return number;
  const named = container.ports?.find((p) => p.name === port);
  if (named === undefined) throw new Error(`couldn't find port "${port}" in container ${container.name}`);
  return named.containerPort;
}
