import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { isObject, type Json, type JsonObject, stringOf } from '#sandbox/base/json.js';
import type { ServerUnderTest } from '../servers.js';

/** One manifest, or one change to a manifest, that both servers must answer alike. */
export interface Case {
  readonly name: string;
  /** The whole object; or, with `base`, a merge patch on that case's object. */
  readonly object?: JsonObject;
  /** The case whose object this one starts from. */
  readonly base?: string;
  /** A merge patch: the base is created, changed so, and written back. */
  readonly update?: JsonObject;
  /** The subresource that the update goes to. */
  readonly subresource?: string;
  /** Query of the request, such as fieldValidation=Strict. */
  readonly query?: string;
}

/** What an answer comes down to: what clients can rely on, without what differs from run to run. */
export interface Outcome {
  readonly code: number;
  readonly reason?: string;
  /** `reason field` of each cause. */
  readonly causes?: readonly string[];
  readonly object?: JsonObject;
}

const here = import.meta.dirname;

export interface CorpusFile {
  readonly name: string;
  readonly cases: readonly Case[];
}

/** Every corpus file, in the order of their names. */
export function corpusFiles(): CorpusFile[] {
  return readdirSync(join(here, 'corpus'))
    .filter((f) => f.endsWith('.yaml'))
    .sort()
    .map((f) => ({
      name: f.replace(/\.yaml$/, ''),
      cases: parse(readFileSync(join(here, 'corpus', f), 'utf8')) as Case[],
    }));
}

/** Where the recorded outcomes of a corpus file are. */
export function goldenPath(file: string): string {
  return join(here, 'golden', `${file}.json`);
}

/** Resource paths by apiVersion and kind, from the server's own discovery. */
export type Paths = ReadonlyMap<string, { readonly path: string; readonly namespaced: boolean }>;

interface ResourceRow {
  readonly name: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

/** Asks a server where its kinds are. */
export async function pathsOf(server: ServerUnderTest): Promise<Paths> {
  const paths = new Map<string, { path: string; namespaced: boolean }>();
  const groups = (await server.raw({ path: '/apis' })).json<{
    groups: { versions: { groupVersion: string }[] }[];
  }>();
  const versions = groups.groups.flatMap((g) => g.versions.map((v) => v.groupVersion));
  for (const gv of ['v1', ...versions]) {
    const base = gv === 'v1' ? '/api/v1' : `/apis/${gv}`;
    const { resources } = (await server.raw({ path: base })).json<{ resources: ResourceRow[] }>();
    for (const r of resources.filter((row) => !row.name.includes('/')))
      paths.set(`${gv} ${r.kind}`, { path: `${base}|${r.name}`, namespaced: r.namespaced });
  }
  return paths;
}

/** The object that a case is about, before its update. */
export function objectOfCase(file: CorpusFile, c: Case): JsonObject {
  if (c.base === undefined) return c.object ?? {};
  const base = file.cases.find((other) => other.name === c.base);
  if (base === undefined) throw new Error(`${file.name}: no case named ${c.base}`);
  return mergePatch(objectOfCase(file, base), c.object ?? {});
}

function mergePatch(target: Json | undefined, patch: JsonObject): JsonObject {
  const out: JsonObject = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete out[key];
    else out[key] = isObject(value) ? mergePatch(out[key], value) : value;
  }
  return out;
}

/** `<ns>` in a manifest stands for the namespace it goes to. */
function located(object: JsonObject, namespace: string): JsonObject {
  return JSON.parse(JSON.stringify(object).replaceAll('<ns>', namespace)) as JsonObject;
}

/** Puts a case to a server. Creations are dry runs; what an update needs is made and taken away again. */
export async function runCase(
  server: ServerUnderTest,
  paths: Paths,
  namespace: string,
  file: CorpusFile,
  c: Case,
): Promise<Outcome> {
  const object = located(objectOfCase(file, c), namespace);
  const target = paths.get(`${stringOf(object.apiVersion)} ${stringOf(object.kind)}`);
  if (target === undefined) return { code: 404, reason: 'no such kind' };
  const [base = '', plural = ''] = target.path.split('|');
  const collection = `${base}${target.namespaced ? `/namespaces/${namespace}` : ''}/${plural}`;
  const query = `?dryRun=All${c.query === undefined ? '' : `&${c.query}`}`;
  if (c.update === undefined) {
    const answer = await server.raw({ method: 'POST', path: `${collection}${query}`, body: object });
    return outcomeOf(answer.status, answer.json(), namespace);
  }
  // A name of its own: what finalizers hold back must not be in the way of the next case.
  const meta = isObject(object.metadata) ? object.metadata : {};
  const own = { ...object, metadata: { ...meta, name: `${stringOf(meta.name)}-u${file.cases.indexOf(c)}` } };
  const created = await server.raw({ method: 'POST', path: collection, body: own });
  if (created.status !== 201) throw new Error(`${c.name}: the base was not created: ${created.text}`);
  const stored = created.json<JsonObject & { metadata: { name: string } }>();
  const one = `${collection}/${stored.metadata.name}`;
  try {
    const subresource = c.subresource === undefined ? '' : `/${c.subresource}`;
    const body = mergePatch(stored, located(c.update, namespace));
    const hasOwnVersion = isObject(c.update.metadata) && c.update.metadata.resourceVersion !== undefined;
    for (let attempt = 1; ; attempt++) {
      // The controllers may have written in between: what is tested is the change, not the version.
      if (isObject(body.metadata) && !hasOwnVersion)
        body.metadata = { ...body.metadata, resourceVersion: await versionOf(server, one) };
      const answer = await server.raw({ method: 'PUT', path: `${one}${subresource}${query}`, body });
      if (answer.status !== 409 || hasOwnVersion || attempt === attemptsMax)
        return outcomeOf(answer.status, answer.json(), namespace);
    }
  } finally {
    await server.raw({ method: 'DELETE', path: `${one}?gracePeriodSeconds=0&propagationPolicy=Background` });
  }
}

/** A controller writes to a new object a few times; a conflict that stays is an answer. */
const attemptsMax = 5;

async function versionOf(server: ServerUnderTest, path: string): Promise<string> {
  return (await server.raw({ path })).json<{ metadata: { resourceVersion: string } }>().metadata
    .resourceVersion;
}

function outcomeOf(code: number, body: JsonObject, namespace: string): Outcome {
  if (code < 300) return { code, object: normalized(body, namespace) };
  const details = isObject(body.details) ? body.details : {};
  const causes = Array.isArray(details.causes) ? (details.causes as JsonObject[]) : undefined;
  return {
    code,
    reason: stringOf(body.reason),
    ...(causes === undefined
      ? {}
      : {
          causes: causes
            .map((x) => `${stringOf(x.reason)} ${stringOf(x.field).replaceAll(namespace, '<ns>')}`)
            .sort(),
        }),
  };
}

const volatileMetadata = ['uid', 'resourceVersion', 'creationTimestamp', 'managedFields'];

/** An object without what the server makes anew each time. */
function normalized(object: JsonObject, namespace: string): JsonObject {
  const text = JSON.stringify(object)
    .replaceAll(namespace, '<ns>')
    .replaceAll(/-u\d+"/g, '"')
    .replaceAll(/kube-api-access-[a-z0-9]{5}/g, 'kube-api-access-<id>')
    .replaceAll(/"[0-9a-f]{8}-[0-9a-f-]{27}"/g, '"<uid>"')
    .replaceAll(/"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"/g, '"<time>"');
  const copy = JSON.parse(text) as JsonObject;
  if (isObject(copy.metadata)) for (const key of volatileMetadata) delete copy.metadata[key];
  return copy;
}
