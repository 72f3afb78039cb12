import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { readBounded } from '#base/system/bounded-bytes.js';
import type { CertificateAndKey } from '../../base/pki.js';
import { mastersGroup, type UserInfo } from '../user.js';
import type { OtherPath, ResourcePath } from '../http/request-info.js';
import { isObject, numberOf, objectOf, objectsOf, stringOf } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import { identityProblem, networkProblem } from '../outbound/connection-problems.js';
import { serviceDestination } from '../outbound/service-destination.js';
import { boundConnecting, connectTimeoutMs } from '../proxy/forward.js';
import type { ObjectReader } from '../registry/resource.js';
import { identityHeaders } from './front-proxy.js';

/** The storage key of APIServices. */
export const apiServiceStorage = 'apiservices.apiregistration.k8s.io';
/** Documents of other servers larger than this are not read on. */
const documentMaxBytes = 32 * 1024 * 1024;

/** A group version that another API server answers for, behind a service of the cluster. */
export interface RemoteApi {
  /** Of the APIService: VERSION.GROUP. */
  readonly name: string;
  readonly group: string;
  readonly version: string;
  readonly service: { readonly namespace: string; readonly name: string; readonly port: number };
  readonly caPem: string | undefined;
  /** The server's certificate is not looked at. */
  readonly isInsecure: boolean;
  readonly isAvailable: boolean;
  readonly groupPriority: number;
  readonly versionPriority: number;
}

/** How the server itself asks other API servers. */
const aggregatorUser: UserInfo = { username: 'system:kube-aggregator', groups: [mastersGroup], extra: {} };

/** What an APIService says of another server; undefined for group versions that are answered here. */
export function remoteApiOf(apiService: ApiObject): RemoteApi | undefined {
  const spec = objectOf(apiService.spec);
  if (!isObject(spec.service)) return undefined;
  const condition = objectsOf(objectOf(apiService.status).conditions).find((c) => c.type === 'Available');
  const bundle = stringOf(spec.caBundle);
  return {
    name: apiService.metadata.name,
    group: stringOf(spec.group),
    version: stringOf(spec.version),
    service: {
      namespace: stringOf(spec.service.namespace),
      name: stringOf(spec.service.name),
      port: numberOf(spec.service.port) ?? 443,
    },
    caPem: bundle === '' ? undefined : Buffer.from(bundle, 'base64').toString(),
    isInsecure: spec.insecureSkipTLSVerify === true,
    isAvailable: condition?.status === 'True',
    groupPriority: numberOf(spec.groupPriorityMinimum) ?? 0,
    versionPriority: numberOf(spec.versionPriority) ?? 0,
  };
}

/** One request to another API server. */
export interface RemoteRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: OutgoingHttpHeaders;
  readonly signal?: AbortSignal;
}

/** A whole answer of another API server. */
export interface RemoteAnswer {
  readonly status: number;
  readonly body: Buffer;
}

/** The API servers that answer for group versions in place of this one. */
export class RemoteApis {
  readonly #reader: ObjectReader;
  readonly #identity: CertificateAndKey;

  /** @param identity the certificate by which the others know that it is this server that asks. */
  constructor(reader: ObjectReader, identity: CertificateAndKey) {
    this.#reader = reader;
    this.#identity = identity;
  }

  all(): RemoteApi[] {
    return this.#reader.list(apiServiceStorage).flatMap((o) => remoteApiOf(o) ?? []);
  }

  at(group: string, version: string): RemoteApi | undefined {
    const apiService = this.#reader.get(apiServiceStorage, undefined, `${version}.${group}`);
    return apiService === undefined ? undefined : remoteApiOf(apiService);
  }

  /** Who answers a path in place of this server; undefined for paths of its own. */
  answering(path: ResourcePath | OtherPath): RemoteApi | undefined {
    if (path.kind === 'resource') return path.group === '' ? undefined : this.at(path.group, path.version);
    const [, group, version] = /^\/apis\/([^/]+)\/([^/]+)\/?$/.exec(path.path) ?? [];
    return group === undefined || version === undefined ? undefined : this.at(group, version);
  }

  /** How requests name the server: the Host they carry. */
  hostOf({ service }: RemoteApi): string {
    return `${service.name}.${service.namespace}.svc:${service.port}`;
  }

  /** Begins a request; its body is the caller's to end. Throws an Error when the service cannot be found. */
  open(remote: RemoteApi, o: RemoteRequest): ClientRequest {
    const { host, port, serverName } = serviceDestination(this.#reader, remote.service);
    return boundConnecting(
      httpsRequest({
        ...o,
        host,
        port,
        headers: { ...o.headers, host: this.hostOf(remote) },
        servername: serverName,
        cert: this.#identity.certPem,
        key: this.#identity.keyPem,
        ...(remote.caPem === undefined ? {} : { ca: remote.caPem }),
        rejectUnauthorized: !remote.isInsecure,
        checkServerIdentity: (_host, certificate) =>
          remote.isInsecure ? undefined : identityProblem(serverName, certificate),
        timeout: connectTimeoutMs,
        agent: false,
      }),
    );
  }

  /** Reads a document as the server itself. Throws an Error that says why there is none. */
  async fetch(
    remote: RemoteApi,
    path: string,
    { accept = 'application/json', timeoutMs = 10_000 } = {},
  ): Promise<RemoteAnswer> {
    const signal = AbortSignal.timeout(timeoutMs);
    try {
      const request = this.open(remote, {
        method: 'GET',
        path,
        headers: { ...identityHeaders(aggregatorUser), accept, 'user-agent': 'kube-aggregator' },
        signal,
      });
      const answer = await new Promise<IncomingMessage>((resolve, reject) => {
        request.once('response', resolve);
        request.once('error', reject);
        request.end();
      });
      const tooLarge = (): Error => new Error(`the answer is larger than ${documentMaxBytes} bytes`);
      const body = await readBounded(answer, documentMaxBytes, tooLarge);
      return { status: answer.statusCode ?? 0, body };
    } catch (error) {
      if (signal.aborted) throw new Error('context deadline exceeded');
      const { name, namespace, port } = remote.service;
      const serverName = `${name}.${namespace}.svc`;
      throw new Error(networkProblem(error, serverName, port, serverName));
    }
  }
}
