import { PassThrough } from 'node:stream';
import { apiError, ApiError } from '../http/api-error.js';
import { type Exchange, setWarnings } from '../http/exchange.js';
import { objectsOf, pathOf, stringOf } from '../json.js';
import { type KubeletGateway, KubeletGatewayError } from '../kubelet-gateway.js';
import type { KubeObject } from '../object.js';
import { containerOf } from './pod-container.js';

function count(url: URL, name: string, min: number): number | undefined {
  const text = url.searchParams.get(name);
  if (text === null || text === '') return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < min) {
    throw apiError.badRequest(
      `PodLogOptions "" is invalid: ${name}: Invalid value: ${JSON.stringify(text)}: must be greater than or equal to ${min}`,
    );
  }
  return value;
}

/** Why a container has no log yet, in kubectl's words; undefined when it has one. */
function waitingReason(pod: KubeObject, container: string): string | undefined {
  const statuses = [
    ...objectsOf(pathOf(pod, 'status', 'containerStatuses')),
    ...objectsOf(pathOf(pod, 'status', 'initContainerStatuses')),
    ...objectsOf(pathOf(pod, 'status', 'ephemeralContainerStatuses')),
  ];
  const status = statuses.find((s) => s.name === container);
  const waiting = pathOf(status, 'state', 'waiting', 'reason');
  const hasRun = pathOf(status, 'lastState', 'terminated') !== undefined;
  return hasRun || waiting === undefined ? undefined : stringOf(waiting);
}

/** Serves pods/log. */
export class PodLogs {
  readonly #kubelet: KubeletGateway;

  constructor(kubelet: KubeletGateway) {
    this.#kubelet = kubelet;
  }

  /** Streams a container's log as the answer. */
  async serve(exchange: Exchange, pod: KubeObject): Promise<void> {
    const { url, response, signal } = exchange;
    const query = url.searchParams;
    const container = containerOf(pod, query.get('container') ?? '');
    const isTrue = (name: string): boolean => query.get(name) === 'true' || query.get(name) === '1';
    const request = {
      namespace: pod.metadata.namespace ?? '',
      pod: pod.metadata.name,
      uid: pod.metadata.uid,
      container,
      follow: isTrue('follow'),
      tailLines: count(url, 'tailLines', 0),
      sinceSeconds: count(url, 'sinceSeconds', 1),
      sinceTime: query.get('sinceTime') ?? undefined,
      previous: isTrue('previous'),
      timestamps: isTrue('timestamps'),
      limitBytes: count(url, 'limitBytes', 1),
    };
    if (stringOf(pathOf(pod, 'spec', 'nodeName')) === '') {
      // kubectl shows an empty log for pods that are not placed yet.
      response.setHeader('Content-Type', 'text/plain');
      response.end();
      return;
    }
    const waiting = waitingReason(pod, container);
    if (waiting !== undefined && !request.previous) {
      throw apiError.badRequest(
        `container "${container}" in pod "${pod.metadata.name}" is waiting to start: ${waiting}`,
      );
    }
    const sink = new PassThrough();
    // Headers go out with the first byte, so that a refusal can still be a Status.
    let hasStarted = false;
    const start = (): void => {
      if (hasStarted || response.headersSent) return;
      hasStarted = true;
      response.statusCode = 200;
      response.setHeader('Content-Type', 'text/plain');
      setWarnings(exchange);
      response.flushHeaders();
    };
    const done = new Promise<void>((resolve) => {
      sink.on('data', (chunk: Buffer) => {
        start();
        if (!response.write(chunk)) {
          sink.pause();
          response.once('drain', () => sink.resume());
        }
      });
      sink.once('end', resolve);
      sink.once('close', resolve);
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    // A follower without output yet must see that it is connected.
    const announced = request.follow ? setTimeout(start, 200) : undefined;
    try {
      await this.#kubelet.logs(request, sink, signal);
      sink.end();
      await done;
      start();
    } catch (error) {
      if (!response.headersSent) throw gatewayError(error);
    } finally {
      clearTimeout(announced);
      sink.destroy();
    }
    response.end();
  }
}

/** A node side refusal as the API answers it. */
export function gatewayError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof KubeletGatewayError)) return apiError.internal(message);
  switch (error.httpStatus) {
    case 400:
      return apiError.badRequest(message);
    case 404:
      return new ApiError(404, 'NotFound', message);
    case 500:
      return apiError.internal(message);
  }
}
