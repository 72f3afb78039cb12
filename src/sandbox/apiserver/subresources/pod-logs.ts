import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ApiError, apiError, type FieldError, fieldError } from '../api-error.js';
import { type ApiExchange, setWarnings } from '../http/exchange.js';
import { queryFlag, queryInteger } from '../http/query.js';
import { objectsOf, valueIn, stringOf } from '../../base/json.js';
import { type KubeletGateway, KubeletGatewayError, type LogRequest } from '../../base/kubelet-gateway.js';
import type { ApiObject } from '../object.js';
import { containerOf } from './pod-container.js';

interface LogOptions {
  readonly tailLines: number | undefined;
  readonly sinceSeconds: number | undefined;
  readonly limitBytes: number | undefined;
  readonly sinceTime: string | undefined;
}

/** The numbers and times of a log request. Throws 400 and 422. */
function logOptions(query: URLSearchParams, pod: string): LogOptions {
  const options = {
    tailLines: queryInteger(query, 'tailLines'),
    sinceSeconds: queryInteger(query, 'sinceSeconds'),
    limitBytes: queryInteger(query, 'limitBytes'),
    sinceTime: query.get('sinceTime') || undefined,
  };
  const { tailLines, sinceSeconds, limitBytes, sinceTime } = options;
  if (
    sinceTime !== undefined &&
    (!/^\d{4}-\d\d-\d\dT/.test(sinceTime) || Number.isNaN(Date.parse(sinceTime)))
  ) {
    const shown = JSON.stringify(sinceTime);
    throw apiError.badRequest(
      `parsing time ${shown} as "2006-01-02T15:04:05Z07:00": cannot parse ${shown} as "2006"`,
    );
  }
  const errors: FieldError[] = [];
  if (tailLines !== undefined && tailLines < 0)
    errors.push(fieldError.invalid('tailLines', tailLines, 'must be greater than or equal to 0'));
  if (limitBytes !== undefined && limitBytes < 1)
    errors.push(fieldError.invalid('limitBytes', limitBytes, 'must be greater than 0'));
  if (sinceSeconds !== undefined && sinceTime !== undefined)
    errors.push(fieldError.forbidden('[]', 'at most one of `sinceTime` or `sinceSeconds` may be specified'));
  else if (sinceSeconds !== undefined && sinceSeconds < 1)
    errors.push(fieldError.invalid('sinceSeconds', sinceSeconds, 'must be greater than 0'));
  if (errors.length > 0) throw apiError.invalid('PodLogOptions', '', pod, errors);
  return options;
}

/** Why a container has no log yet, in kubectl's words; undefined when it has one. */
function waitingReason(pod: ApiObject, container: string): string | undefined {
  const statuses = [
    ...objectsOf(valueIn(pod, 'status', 'containerStatuses')),
    ...objectsOf(valueIn(pod, 'status', 'initContainerStatuses')),
    ...objectsOf(valueIn(pod, 'status', 'ephemeralContainerStatuses')),
  ];
  const status = statuses.find((s) => s.name === container);
  const waiting = valueIn(status, 'state', 'waiting', 'reason');
  const hasRun = valueIn(status, 'lastState', 'terminated') !== undefined;
  return hasRun || waiting === undefined ? undefined : stringOf(waiting);
}

/** A follower without output yet must see that it is connected. */
const announceMs = 200;

/** Serves pods/log. */
export class PodLogs {
  readonly #kubelet: KubeletGateway;

  constructor(kubelet: KubeletGateway) {
    this.#kubelet = kubelet;
  }

  /** Streams a container's log as the answer. */
  async serve(exchange: ApiExchange, pod: ApiObject): Promise<void> {
    const { url, response, signal } = exchange;
    const log = await this.open(url.searchParams, pod, signal);
    response.statusCode = 200;
    response.setHeader('Content-Type', 'text/plain');
    setWarnings(exchange);
    response.flushHeaders();
    // A connection that breaks ends the log; there is nobody left to tell.
    await pipeline(log, response, { signal }).catch(() => undefined);
  }

  /**
   * The log that a query asks for, once there is something of it to send or nothing more to
   * expect: until then every refusal is an ApiError. Ends with the signal at the latest.
   */
  async open(query: URLSearchParams, pod: ApiObject, signal: AbortSignal): Promise<Readable> {
    const options = logOptions(query, pod.metadata.name);
    const container = containerOf(pod, query.get('container') ?? '');
    const request = {
      namespace: pod.metadata.namespace ?? '',
      pod: pod.metadata.name,
      uid: pod.metadata.uid,
      container,
      follow: queryFlag(query, 'follow'),
      ...options,
      previous: queryFlag(query, 'previous'),
      timestamps: queryFlag(query, 'timestamps'),
    };
    // kubectl shows an empty log for pods that are not placed yet.
    if (stringOf(valueIn(pod, 'spec', 'nodeName')) === '') return Readable.from([]);
    const waiting = waitingReason(pod, container);
    if (waiting !== undefined && !request.previous) {
      throw apiError.badRequest(
        `container "${container}" in pod "${pod.metadata.name}" is waiting to start: ${waiting}`,
      );
    }
    return this.#opened(request, signal);
  }

  async #opened(request: LogRequest, signal: AbortSignal): Promise<Readable> {
    let announce: NodeJS.Timeout | undefined;
    let log = new Transform();
    const begun = new Promise<void>((resolve) => {
      log = new Transform({
        transform: (chunk: Buffer, _encoding, done) => {
          resolve();
          done(null, chunk);
        },
      });
      if (request.follow) announce = setTimeout(resolve, announceMs);
    });
    const work = this.#kubelet.logs(request, log, signal).then(() => log.end());
    try {
      await Promise.race([work, begun]);
    } catch (error) {
      log.destroy();
      throw gatewayError(error);
    } finally {
      clearTimeout(announce);
    }
    // From here on the client has its answer: it sees a connection that breaks off.
    work.catch(() => log.destroy());
    return log;
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
