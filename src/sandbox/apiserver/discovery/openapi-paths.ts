import type { JsonObject } from '../../base/json.js';
import { type ServedResource, standardVerbs } from '../registry/resource.js';
import { subresourcesOf } from './discovery.js';
import type { ComponentSchemas } from './openapi-schema.js';

const queryParameters = {
  write: ['dryRun', 'fieldManager', 'fieldValidation', 'pretty'],
  apply: ['dryRun', 'fieldManager', 'fieldValidation', 'force', 'pretty'],
  list: [
    'allowWatchBookmarks',
    'continue',
    'fieldSelector',
    'labelSelector',
    'limit',
    'pretty',
    'resourceVersion',
    'resourceVersionMatch',
    'sendInitialEvents',
    'timeoutSeconds',
    'watch',
  ],
  delete: ['dryRun', 'gracePeriodSeconds', 'orphanDependents', 'pretty', 'propagationPolicy'],
  get: ['pretty'],
} as const; // prettier-ignore

/** Which parameters and bodies an action has. */
interface Action {
  readonly name: string;
  readonly query: keyof typeof queryParameters;
  /** The request's body, and the answer's. */
  readonly body?: string;
  readonly answer: string;
}

const patchTypes = [
  'application/apply-patch+yaml',
  'application/json-patch+json',
  'application/merge-patch+json',
];
/** Of built-in kinds only: custom resources do not say how their lists merge, and clients look here. */
const strategicPatch = 'application/strategic-merge-patch+json';
const metaTypes = 'apimachinery.pkg.apis.meta.v1.';

/** Types of the bodies of subresources that are not the object itself. */
const bodyTypes: Readonly<Record<string, string>> = {
  Binding: 'api.core.v1.Binding',
  Eviction: 'api.policy.v1.Eviction',
  Scale: 'api.autoscaling.v1.Scale',
  TokenRequest: 'api.authentication.v1.TokenRequest',
};

function inPath(name: string): JsonObject {
  return { name, in: 'path', required: true, schema: { type: 'string', uniqueItems: true } };
}

/** Describes the paths of one resource: the operations it has, with the types they take and give. */
export class ResourcePaths {
  readonly #schemas: ComponentSchemas;

  constructor(schemas: ComponentSchemas) {
    this.#schemas = schemas;
  }

  /** Adds a resource's paths to a document. */
  add(paths: JsonObject, r: ServedResource): void {
    const own = this.#schemas.root(r);
    const verbs = r.verbs ?? standardVerbs;
    const base = r.group === '' ? `/api/${r.version}` : `/apis/${r.group}/${r.version}`;
    const collection = `${base}/${r.namespaced ? 'namespaces/{namespace}/' : ''}${r.plural}`;
    const scope = r.namespaced ? [inPath('namespace')] : [];
    const status = this.#schemas.type(`${metaTypes}Status`);
    const deleteOptions = this.#schemas.type(`${metaTypes}DeleteOptions`);
    const on = (method: string, verb: string, action: Action): JsonObject =>
      verbs.includes(verb) ? { [method]: this.#operation(r, action) } : {};
    const list = verbs.includes('list') ? this.#schemas.list(r) : own;
    paths[collection] = {
      ...on('get', 'list', { name: 'list', query: 'list', answer: list }),
      ...on('post', 'create', { name: 'post', query: 'write', body: own, answer: own }),
      ...on('delete', 'deletecollection', {
        name: 'deletecollection',
        query: 'delete',
        body: deleteOptions,
        answer: status,
      }),
      // An empty list would be gone when a client writes the document again.
      ...(scope.length === 0 ? {} : { parameters: scope }),
    };
    if (r.namespaced && verbs.includes('list')) {
      paths[`${base}/${r.plural}`] = {
        get: this.#operation(r, { name: 'list', query: 'list', answer: list }),
      };
    }
    if (!verbs.includes('get')) return;
    const one = `${collection}/{name}`;
    const parameters = [inPath('name'), ...scope];
    paths[one] = {
      ...on('get', 'get', { name: 'get', query: 'get', answer: own }),
      ...on('put', 'update', { name: 'put', query: 'write', body: own, answer: own }),
      ...on('patch', 'patch', { name: 'patch', query: 'apply', answer: own }),
      ...on('delete', 'delete', { name: 'delete', query: 'delete', body: deleteOptions, answer: status }),
      parameters,
    };
    for (const s of subresourcesOf(r)) {
      const type = bodyTypes[s.kind];
      const body = type === undefined ? own : this.#schemas.type(type);
      const has = (verb: string): boolean => s.verbs.includes(verb);
      paths[`${one}/${s.name}`] = {
        ...(has('get') ? { get: this.#operation(r, { name: 'get', query: 'get', answer: body }) } : {}),
        ...(has('create')
          ? { post: this.#operation(r, { name: 'post', query: 'write', body, answer: body }) }
          : {}),
        ...(has('update')
          ? { put: this.#operation(r, { name: 'put', query: 'write', body, answer: body }) }
          : {}),
        ...(has('patch')
          ? { patch: this.#operation(r, { name: 'patch', query: 'apply', answer: body }) }
          : {}),
        parameters,
      };
    }
  }

  #operation(r: ServedResource, { name, query, body, answer }: Action): JsonObject {
    const content = (ref: string, types: readonly string[]): JsonObject => ({
      content: Object.fromEntries(types.map((type) => [type, { schema: { $ref: ref } }])),
    });
    const patch = this.#schemas.type(`${metaTypes}Patch`);
    return {
      parameters: queryParameters[query].map((key) => ({
        name: key,
        in: 'query',
        schema: { type: 'string', uniqueItems: true },
      })),
      ...(name === 'patch'
        ? { requestBody: content(patch, r.isCustom ? patchTypes : [...patchTypes, strategicPatch]) }
        : {}),
      ...(body === undefined ? {} : { requestBody: content(body, ['*/*']) }),
      responses: {
        '200': { description: 'OK', ...content(answer, ['application/json', 'application/yaml']) },
      },
      'x-kubernetes-action': name,
      'x-kubernetes-group-version-kind': { group: r.group, version: r.version, kind: r.kind },
    };
  }
}
