import type { ClientRequest, IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIp } from '#base/net/address.js';
import { readBounded } from '#base/system/bounded-bytes.js';
import { messageOf } from '#base/errors/mesh-error.js';
import { isObject, type Json, type JsonObject } from '../../../base/json.js';
import { identityProblem, networkProblem } from '../../outbound/connection-problems.js';
import { type ServiceDestination, serviceDestination } from '../../outbound/service-destination.js';
import type { Store } from '../../storage/store.js';

/** Answers larger than this are not read on. */
const answerMaxBytes = 8 * 1024 * 1024;
const shownBodyMax = 1024;

/** Where a webhook is: a URL, or a service of the cluster. */
export type WebhookClientConfig =
  | { readonly kind: 'url'; readonly url: string; readonly caPem?: string }
  | {
      readonly kind: 'service';
      readonly namespace: string;
      readonly name: string;
      readonly path: string;
      readonly port: number;
      readonly caPem?: string;
    };

/** A webhook could not be asked, or gave no usable answer. */
export class WebhookCallError extends Error {
  override readonly name = 'WebhookCallError';
}

interface Destination extends ServiceDestination {
  /** As error messages show it. */
  readonly url: URL;
}

/** Calls webhooks over HTTPS, each answer bounded in size and time. */
export class WebhookClient {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Posts a review and returns the answer. Throws WebhookCallError. */
  async post(config: WebhookClientConfig, review: JsonObject, timeoutMs: number): Promise<JsonObject> {
    const seconds = Math.round(timeoutMs / 1000);
    const shown = shownUrl(config, seconds);
    let destination: Destination;
    try {
      destination = this.#resolve(config, shown);
    } catch (error) {
      throw new WebhookCallError(`Post ${JSON.stringify(shown.href)}: ${messageOf(error)}`);
    }
    const body = Buffer.from(JSON.stringify(review));
    const { status, text } = await exchange(destination, config.caPem, body, timeoutMs);
    return answerOf(status, text);
  }

  #resolve(config: WebhookClientConfig, url: URL): Destination {
    if (config.kind === 'url') {
      const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
      return { url, host, port: url.port === '' ? 443 : Number(url.port), serverName: host };
    }
    return { url, ...serviceDestination(this.#store, config) };
  }
}

function shownUrl(config: WebhookClientConfig, seconds: number): URL {
  let url: URL;
  if (config.kind === 'url') url = new URL(config.url);
  else {
    url = new URL(`https://${config.name}.${config.namespace}.svc`);
    url.pathname = config.path;
  }
  url.searchParams.set('timeout', `${seconds}s`);
  // Kubernetes always shows the port of a service.
  if (config.kind === 'service') {
    const { href, host } = url;
    return Object.defineProperty(url, 'href', {
      value: href.replace(host, `${host.split(':')[0]}:${config.port}`),
    });
  }
  return url;
}

async function exchange(
  { url, host, port, serverName }: Destination,
  caPem: string | undefined,
  body: Buffer,
  timeoutMs: number,
): Promise<{ status: number; text: string }> {
  const fail = (why: string): WebhookCallError =>
    new WebhookCallError(`Post ${JSON.stringify(url.href)}: ${why}`);
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const request: ClientRequest = httpsRequest(
        {
          method: 'POST',
          host,
          port,
          path: `${url.pathname}${url.search}`,
          // The protocol has no names for addresses.
          servername: isIp(serverName) ? '' : serverName,
          ...(caPem === undefined ? {} : { ca: caPem }),
          agent: false,
          signal,
          checkServerIdentity: (_host, certificate) => identityProblem(serverName, certificate),
          headers: {
            Host: url.host,
            Accept: 'application/json, */*',
            'Content-Type': 'application/json',
            'Content-Length': body.length,
            'User-Agent': 'kube-apiserver-admission',
          },
        },
        resolve,
      );
      request.once('error', reject);
      request.end(body);
    });
    const tooLarge = (): Error => new WebhookCallError(`the response is larger than ${answerMaxBytes} bytes`);
    const bytes = await readBounded(response, answerMaxBytes, tooLarge);
    return { status: response.statusCode ?? 0, text: bytes.toString('utf8') };
  } catch (error) {
    if (error instanceof WebhookCallError) throw error;
    if (signal.aborted) throw fail('context deadline exceeded');
    throw fail(networkProblem(error, host, port, serverName));
  }
}

/** The review in an answer; other answers are told as a Kubernetes client tells them. */
function answerOf(status: number, text: string): JsonObject {
  if (status === 200 || status === 201) {
    let answer: Json;
    try {
      answer = JSON.parse(text) as Json;
    } catch (error) {
      throw new WebhookCallError(`couldn't get version/kind; json parse error: ${messageOf(error)}`);
    }
    if (isObject(answer)) return answer;
    throw new WebhookCallError("couldn't get version/kind; json parse error: the answer is no object");
  }
  const shown = text.slice(0, shownBodyMax).trim();
  switch (status) {
    case 400:
      throw new WebhookCallError('the server rejected our request for an unknown reason');
    case 401:
      throw new WebhookCallError('the server has asked for the client to provide credentials');
    case 403:
      throw new WebhookCallError(shown === '' ? 'unknown' : shown);
    case 404:
      throw new WebhookCallError('the server could not find the requested resource');
    case 405:
      throw new WebhookCallError('the server does not allow this method on the requested resource');
    case 429:
      throw new WebhookCallError(
        'the server has received too many requests and has asked us to try again later',
      );
    default:
      throw new WebhookCallError(
        status >= 500
          ? `an error on the server (${JSON.stringify(shown === '' ? 'unknown' : shown)}) has prevented the request from succeeding`
          : `the server responded with the status code ${status} but did not return more information`,
      );
  }
}
