import type { ApiExchange } from '../http/exchange.js';
import { isObject, type Json, type JsonObject, objectOf } from '../../base/json.js';
import type { AggregationProxy } from './aggregation-proxy.js';
import type { RemoteApi, RemoteApis } from './remote-apis.js';

/** How long what another server said of its API is taken for true. */
const keptMs = 60_000;

/** The OpenAPI of other servers, for the group versions that they answer for. */
export interface RemoteDocuments {
  /** Another number when anything in it is different. */
  readonly generation: number;
  /** Entries of the OpenAPI 3 index, by path without the first slash. */
  readonly v3Paths: JsonObject;
  /** OpenAPI 2 documents with nothing but their group versions' paths. */
  readonly v2: readonly JsonObject[];
}

interface Kept {
  readonly remote: string;
  readonly readAt: number;
  readonly v3: JsonObject | undefined;
  readonly v2: JsonObject | undefined;
}

/** Reads the OpenAPI documents of the servers behind this one. */
export class RemoteOpenApi {
  readonly #remotes: RemoteApis;
  readonly #proxy: AggregationProxy;
  readonly #kept = new Map<string, Kept>();
  #latest: RemoteDocuments = { generation: 0, v3Paths: {}, v2: [] };
  #latestText = '';

  constructor(remotes: RemoteApis, proxy: AggregationProxy) {
    this.#remotes = remotes;
    this.#proxy = proxy;
  }

  /** What the servers that can be reached say. One that does not answer is left out. */
  async current(): Promise<RemoteDocuments> {
    const remotes = this.#remotes.all().filter((r) => r.isAvailable);
    const names = new Set(remotes.map((r) => r.name));
    for (const name of this.#kept.keys()) if (!names.has(name)) this.#kept.delete(name);
    const kept = await Promise.all(remotes.map((r) => this.#read(r)));
    const v3Paths: JsonObject = Object.assign({}, ...kept.map((k) => k.v3 ?? {})) as JsonObject;
    const v2 = kept.flatMap((k) => (k.v2 === undefined ? [] : [k.v2]));
    const text = JSON.stringify([v3Paths, v2]);
    if (text !== this.#latestText) {
      this.#latestText = text;
      this.#latest = { generation: this.#latest.generation + 1, v3Paths, v2 };
    }
    return this.#latest;
  }

  /** Answers with the OpenAPI 3 document of a group version of another server; false for those of this one. */
  async serve(exchange: ApiExchange, groupVersion: string): Promise<boolean> {
    const [, group = '', version = ''] = groupVersion.split('/');
    const remote = groupVersion.startsWith('apis/') ? this.#remotes.at(group, version) : undefined;
    if (remote === undefined) return false;
    await this.#proxy.serve(exchange, remote);
    return true;
  }

  async #read(remote: RemoteApi): Promise<Kept> {
    const key = JSON.stringify([remote.service, remote.caPem]);
    const known = this.#kept.get(remote.name);
    if (known?.remote === key && Date.now() - known.readAt < keptMs) return known;
    const [v3, v2] = await Promise.all([
      this.#document(remote, '/openapi/v3'),
      this.#document(remote, '/openapi/v2'),
    ]);
    const gv = `apis/${remote.group}/${remote.version}`;
    const entry = objectOf(v3?.paths)[gv];
    const kept: Kept = {
      remote: key,
      readAt: Date.now(),
      v3: entry === undefined ? undefined : { [gv]: entry },
      v2: v2 === undefined ? undefined : ofGroupVersion(v2, gv),
    };
    this.#kept.set(remote.name, kept);
    return kept;
  }

  async #document(remote: RemoteApi, path: string): Promise<JsonObject | undefined> {
    try {
      const { status, body } = await this.#remotes.fetch(remote, path);
      // JSON.parse gives JSON data only.
      const document = status === 200 ? (JSON.parse(body.toString()) as Json) : undefined;
      return isObject(document) ? document : undefined;
    } catch {
      // Servers need not describe themselves; whether they answer at all is their APIService's to say.
      return undefined;
    }
  }
}

function ofGroupVersion({ paths, definitions }: JsonObject, gv: string): JsonObject {
  const own = Object.entries(objectOf(paths)).filter(
    ([path]) => path === `/${gv}/` || path.startsWith(`/${gv}/`),
  );
  return { paths: Object.fromEntries(own), definitions: objectOf(definitions) };
}
