import type { IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { ClusterPki } from '#sandbox/base/pki.js';
import type { JsonObject } from '#sandbox/base/json.js';

/**
 * A small API server of its own, as operators put behind an APIService: it serves
 * `things` of one group in v1 and answers each with who asked for it, and how.
 */
export class ExtensionApiServer {
  readonly port: number;
  readonly caBundle: string;
  readonly #server: Server;

  private constructor(server: Server, port: number, caPem: string) {
    this.#server = server;
    this.port = port;
    this.caBundle = Buffer.from(caPem).toString('base64');
  }

  /** @param names what its certificate is good for. */
  static async start(group: string, names: readonly string[]): Promise<ExtensionApiServer> {
    const pki = await ClusterPki.open(undefined);
    const { certPem, keyPem } = await pki.issueServer(names);
    const server = createServer(
      { cert: certPem, key: keyPem, requestCert: true, rejectUnauthorized: false },
      (request, response) => {
        const body = answer(group, request);
        response.writeHead(body.kind === 'Status' ? 404 : 200, { 'content-type': 'application/json' });
        response.end(JSON.stringify(body));
      },
    );
    server.on('upgrade', (request, socket) => {
      socket.end(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${request.headers.upgrade}\r\n\r\n${String(request.headers['x-remote-user'])}`,
      );
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new ExtensionApiServer(server, (server.address() as AddressInfo).port, pki.caPem);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function answer(group: string, request: IncomingMessage): JsonObject {
  const path = (request.url ?? '/').split('?')[0] ?? '/';
  const gv = `apis/${group}/v1`;
  const verbs = ['get', 'list'];
  if (path === `/${gv}`) {
    const thing = { name: 'things', singularName: 'thing', namespaced: true, kind: 'Thing', verbs };
    const status = {
      name: 'things/status',
      singularName: '',
      namespaced: true,
      kind: 'Thing',
      verbs: ['get'],
    };
    return {
      kind: 'APIResourceList',
      apiVersion: 'v1',
      groupVersion: `${group}/v1`,
      resources: [thing, status],
    };
  }
  if (path === '/openapi/v3') return { paths: { [gv]: { serverRelativeURL: `/openapi/v3/${gv}?hash=1` } } };
  if (path === `/openapi/v3/${gv}`)
    return {
      openapi: '3.0.0',
      info: { title: 'things', version: 'v1' },
      paths: {},
      components: { schemas: {} },
    };
  if (path === '/openapi/v2') {
    const definitions = { 'things.Thing': { type: 'object', description: 'A thing.' } };
    return {
      swagger: '2.0',
      info: { title: 'things', version: 'v1' },
      paths: { [`/${gv}/`]: {} },
      definitions,
    };
  }
  const name = new RegExp(`^/${gv}/namespaces/[^/]+/things/([^/]+)$`).exec(path)?.[1];
  if (name === undefined)
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      reason: 'NotFound',
      code: 404,
    };
  const { subject } = (request.socket as TLSSocket).getPeerCertificate();
  return {
    kind: 'Thing',
    apiVersion: `${group}/v1`,
    metadata: { name, namespace: 'default' },
    asked: {
      by: request.headersDistinct['x-remote-user'] ?? [],
      groups: request.headersDistinct['x-remote-group'] ?? [],
      extra: request.headersDistinct['x-remote-extra-scopes'] ?? [],
      authorization: request.headers.authorization ?? '',
      through: String(subject?.CN ?? ''),
      accept: request.headers.accept ?? '',
      url: request.url ?? '',
    },
  };
}
