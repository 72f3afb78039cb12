import { request as httpRequest } from 'node:http';
import type { Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { messageOf } from '../../../errors/mesh-error.js';
import { connectTcp } from '../../../system/socket.js';
import type { ContainerSpec, ProbeHandler } from '../model/pod.js';
import { checkGrpcHealth } from './grpc-health.js';

/** The outcome of one attempt. */
export interface ProbeOutcome {
  readonly isSuccess: boolean;
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

const bodyMaxBytes = 10 * 1024;
const messageMaxChars = 1024;

/** Runs a probe or lifecycle handler once; never throws. */
export async function runHandler(
  handler: ProbeHandler,
  target: ProbeTarget,
  timeoutMs: number,
): Promise<ProbeOutcome> {
  try {
    if (handler.exec !== undefined) {
      const { exitCode, output } = await target.exec(handler.exec.command ?? [], timeoutMs);
      return { isSuccess: exitCode === 0, message: output.slice(0, messageMaxChars) };
    }
    if (handler.httpGet !== undefined) return await httpGet(handler.httpGet, target, timeoutMs);
    if (handler.tcpSocket !== undefined) {
      const socket = await open(target, { ...handler.tcpSocket, timeoutMs });
      socket.destroy();
      return { isSuccess: true, message: '' };
    }
    if (handler.grpc !== undefined) {
      const socket = await open(target, { port: handler.grpc.port, timeoutMs });
      const problem = await checkGrpcHealth(socket, { service: handler.grpc.service ?? '', timeoutMs });
      return { isSuccess: problem === undefined, message: problem ?? '' };
    }
    return { isSuccess: true, message: '' };
  } catch (error) {
    return { isSuccess: false, message: messageOf(error) };
  }
}

async function httpGet(
  get: NonNullable<ProbeHandler['httpGet']>,
  target: ProbeTarget,
  timeoutMs: number,
): Promise<ProbeOutcome> {
  const isTls = (get.scheme ?? 'HTTP').toUpperCase() === 'HTTPS';
  const port = resolvePort(get.port, target.container);
  const host = get.host === undefined || get.host === '' ? target.podIp : get.host;
  const path = get.path === undefined || get.path === '' ? '/' : get.path;
  const url = `${isTls ? 'https' : 'http'}://${host}:${port}${path.startsWith('/') ? path : `/${path}`}`;
  const plain = await open(target, { host, port, timeoutMs }).catch((error: unknown) => {
    throw new Error(`Get "${url}": dial tcp ${host}:${port}: ${messageOf(error)}`, { cause: error });
  });
  // A probe asks whether the server answers, not who it is: kubelet verifies no certificate either.
  const socket = isTls ? tlsConnect({ socket: plain, rejectUnauthorized: false }) : plain;
  const headers: Record<string, string> = {
    'user-agent': 'kube-probe/1.32',
    accept: '*/*',
    connection: 'close',
  };
  for (const { name, value } of get.httpHeaders ?? []) headers[name.toLowerCase()] = value;
  headers['host'] ??= `${host}:${port}`;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.destroy();
      reject(
        new Error(`Get "${url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`),
      );
    }, timeoutMs);
    const request = httpRequest(
      { path: path.startsWith('/') ? path : `/${path}`, headers, createConnection: () => socket },
      (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => {
          if (body.length < bodyMaxBytes) body += chunk.toString('latin1');
        });
        response.on('error', () => undefined); // the status has been seen; the body is only a message
        response.on('close', () => {
          clearTimeout(timer);
          socket.destroy();
          const status = response.statusCode ?? 0;
          const isSuccess = status >= 200 && status < 400;
          resolve({ isSuccess, message: isSuccess ? '' : `HTTP probe failed with statuscode: ${status}` });
        });
      },
    );
    request.on('error', (error) => {
      clearTimeout(timer);
      socket.destroy();
      reject(new Error(`Get "${url}": ${error.message}`));
    });
    request.end();
  });
}

function open(
  target: ProbeTarget,
  o: { host?: string | undefined; port: number | string; timeoutMs: number },
): Promise<Socket> {
  return connectTcp({
    netns: target.netns,
    host: o.host === undefined || o.host === '' ? target.podIp : o.host,
    port: resolvePort(o.port, target.container),
    timeoutMs: o.timeoutMs,
  });
}

/** A port by number or by the name the container gives it. */
function resolvePort(port: number | string, container: ContainerSpec): number {
  const number = typeof port === 'number' ? port : Number(port);
  if (Number.isInteger(number)) return number;
  const named = container.ports?.find((p) => p.name === port);
  if (named === undefined) throw new Error(`couldn't find port "${port}" in container ${container.name}`);
  return named.containerPort;
}
