import type { ClientRequest, IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { isObject, type Json, type JsonObject, numberOf, objectOf, objectsOf, stringOf } from '../../json.js';
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

interface Destination {
  /** As error messages show it. */
  readonly url: URL;
  /** Where to connect. */
  readonly host: string;
  readonly port: number;
  readonly serverName: string;
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
    const { namespace, name, port } = config;
    const serverName = `${name}.${namespace}.svc`;
    const service = this.#store.get('services', namespace, name);
    if (service === undefined) throw new Error(`service ${JSON.stringify(name)} not found`);
    const spec = objectOf(service.spec);
    if (spec.type === 'ExternalName') return { url, host: stringOf(spec.externalName), port, serverName };
    const isOffered = objectsOf(spec.ports).some((p) => p.port === port);
    if (!isOffered) throw new Error(`no service port ${port} found for service ${JSON.stringify(name)}`);
    const clusterIp = stringOf(spec.clusterIP);
    if (clusterIp !== '' && clusterIp !== 'None') return { url, host: clusterIp, port, serverName };
    return { url, ...this.#endpoint(namespace, name, port), serverName };
  }

  /** A ready address of a headless service. */
  #endpoint(namespace: string, name: string, port: number): { host: string; port: number } {
    const slices = this.#store
      .list('endpointslices.discovery.k8s.io', namespace)
      .filter((s) => s.metadata.labels?.['kubernetes.io/service-name'] === name);
    for (const slice of slices) {
      const ready = objectsOf(slice.endpoints).find((e) => objectOf(e.conditions).ready !== false);
      const [host] = Array.isArray(ready?.addresses) ? ready.addresses : [];
      const target = numberOf(objectsOf(slice.ports)[0]?.port);
      if (typeof host === 'string') return { host, port: target ?? port };
    }
    throw new Error(`no endpoints available for service ${JSON.stringify(name)}`);
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

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
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
          servername: isIP(serverName) === 0 ? serverName : '',
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
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of response) {
      const bytes = chunk as Buffer;
      size += bytes.length;
      if (size > answerMaxBytes) {
        response.destroy();
        throw new WebhookCallError(`the response is larger than ${answerMaxBytes} bytes`);
      }
      chunks.push(bytes);
    }
    return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') };
  } catch (error) {
    if (error instanceof WebhookCallError) throw error;
    if (signal.aborted) throw fail('context deadline exceeded');
    throw fail(networkProblem(error, host, port, serverName));
  }
}

/** Only subject alternative names count, as in Go. */
function identityProblem(serverName: string, certificate: PeerCertificate): Error | undefined {
  if (certificate.subjectaltname === undefined) {
    return new Error(
      'tls: failed to verify certificate: x509: certificate relies on legacy Common Name field, use SANs instead',
    );
  }
  if (checkServerIdentity(serverName, certificate) === undefined) return undefined;
  const names = certificate.subjectaltname.split(', ').map((n) => n.replace(/^[^:]*:/, ''));
  return new Error(
    `tls: failed to verify certificate: x509: certificate is valid for ${names.join(', ')}, not ${serverName}`,
  );
}

const unknownAuthority: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

const dialProblems: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connect: connection refused',
  EHOSTUNREACH: 'connect: no route to host',
  ENETUNREACH: 'connect: network is unreachable',
  ETIMEDOUT: 'i/o timeout',
};

function networkProblem(error: unknown, host: string, port: number, serverName: string): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const dial = dialProblems[code];
  if (dial !== undefined) return `dial tcp ${host.includes(':') ? `[${host}]` : host}:${port}: ${dial}`;
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return `dial tcp: lookup ${host}: no such host`;
  if (unknownAuthority.has(code)) {
    return 'tls: failed to verify certificate: x509: certificate signed by unknown authority';
  }
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    return 'tls: failed to verify certificate: x509: certificate has expired or is not yet valid';
  }
  if (code === 'ECONNRESET') return 'EOF';
  const text = messageOf(error);
  return /wrong version number|packet length too long/.test(text)
    ? 'http: server gave HTTP response to HTTPS client'
    : text.replace(/^.*?(?=tls: )/, '') || `no answer from ${serverName}`;
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
