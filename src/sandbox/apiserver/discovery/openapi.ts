import { createHash } from 'node:crypto';
import { type ApiExchange, sendJson, sendText } from '../http/exchange.js';
import { type JsonObject, objectOf } from '../../base/json.js';
import type { RemoteOpenApi } from '../aggregation/remote-openapi.js';
import type { Registry } from '../registry/registry.js';
import { encodeOpenApiV2, openApiProtobuf, wantsOpenApiProtobuf } from './openapi-protobuf.js';
import { ResourcePaths } from './openapi-paths.js';
import { ComponentSchemas } from './openapi-schema.js';
import { kubernetesVersion } from './discovery.js';

/** The OpenAPI documents: v3 per group version, v2 as a whole. Built on demand, rebuilt when the registry changed. */
export class OpenApi {
  readonly #registry: Registry;
  readonly #remote: RemoteOpenApi;
  #builtFor = '';
  #documents = new Map<string, { text: string; hash: string }>();
  #v2: string | undefined;
  #v2Protobuf: Uint8Array | undefined;

  /** @param remote the documents of the servers that answer for group versions in place of this one. */
  constructor(registry: Registry, remote: RemoteOpenApi) {
    this.#registry = registry;
    this.#remote = remote;
  }

  /** Answers a path below /openapi; false when there is nothing there. */
  async answer(exchange: ApiExchange, path: string): Promise<boolean> {
    const foreign = await this.#remote.current();
    const state = `${this.#registry.generation} ${foreign.generation}`;
    if (this.#builtFor !== state) {
      this.#documents = new Map();
      this.#v2 = undefined;
      this.#v2Protobuf = undefined;
      this.#builtFor = state;
    }
    if (path === '/openapi/v3' || path === '/openapi/v3/') {
      sendJson(exchange, 200, { paths: { ...this.#index(), ...foreign.v3Paths } });
      return true;
    }
    const gvPath = /^\/openapi\/v3\/(api\/v1|apis\/[^/]+\/[^/]+)$/.exec(path)?.[1];
    if (gvPath !== undefined && (await this.#remote.serve(exchange, gvPath))) return true;
    if (path === '/openapi/v2') {
      const accept = exchange.request.headers.accept ?? '';
      const takesJson = accept === '' || /application\/json|\*\/\*/.test(accept);
      if (wantsOpenApiProtobuf(accept))
        sendText(
          exchange,
          200,
          openApiProtobuf,
          (this.#v2Protobuf ??= encodeOpenApiV2(this.#buildV2(foreign.v2))),
        );
      else if (takesJson)
        sendText(exchange, 200, 'application/json', (this.#v2 ??= JSON.stringify(this.#buildV2(foreign.v2))));
      else sendText(exchange, 406, 'text/plain', 'only JSON and protobuf are served\n');
      return true;
    }
    const document = gvPath === undefined ? undefined : this.#document(gvPath);
    if (document === undefined) return false;
    const etag = `"${document.hash}"`;
    exchange.response.setHeader('ETag', etag);
    // A client that knows this text already is not sent it again.
    if (exchange.request.headers['if-none-match'] === etag) sendText(exchange, 304, 'application/json', '');
    else sendText(exchange, 200, 'application/json', document.text);
    return true;
  }

  #groupVersions(): string[] {
    const paths = this.#registry
      .all()
      .map((r) => (r.group === '' ? `api/${r.version}` : `apis/${r.group}/${r.version}`));
    return [...new Set(paths)];
  }

  #index(): JsonObject {
    const paths: JsonObject = {};
    for (const gv of this.#groupVersions()) {
      const hash = this.#document(gv)?.hash ?? '';
      paths[gv] = { serverRelativeURL: `/openapi/v3/${gv}?hash=${hash}` };
    }
    return paths;
  }

  #document(gv: string): { text: string; hash: string } | undefined {
    const known = this.#documents.get(gv);
    if (known !== undefined) return known;
    const resources = this.#registry
      .all()
      .filter((r) => (r.group === '' ? `api/${r.version}` : `apis/${r.group}/${r.version}`) === gv);
    if (resources.length === 0) return undefined;
    const schemas = new ComponentSchemas('v3');
    const paths: JsonObject = {};
    const described = new ResourcePaths(schemas);
    for (const r of resources) described.add(paths, r);
    const text = JSON.stringify({
      openapi: '3.0.0',
      info: { title: 'Kubernetes', version: kubernetesVersion.gitVersion },
      paths,
      components: { schemas: schemas.components() },
    });
    const document = {
      text,
      hash: createHash('sha256').update(text).digest('hex').slice(0, 32).toUpperCase(),
    };
    this.#documents.set(gv, document);
    return document;
  }

  #buildV2(foreign: readonly JsonObject[]): JsonObject {
    const schemas = new ComponentSchemas('v2');
    for (const r of this.#registry.all()) {
      schemas.root(r);
      if (r.verbs?.includes('list') ?? true) schemas.list(r);
    }
    return {
      swagger: '2.0',
      info: { title: 'Kubernetes', version: kubernetesVersion.gitVersion },
      paths: Object.assign({}, ...foreign.map((d) => objectOf(d.paths))) as JsonObject,
      // Types that servers share, such as the metadata of objects, are described by this one.
      definitions: Object.assign(
        {},
        ...foreign.map((d) => objectOf(d.definitions)),
        schemas.components(),
      ) as JsonObject,
    };
  }
}
