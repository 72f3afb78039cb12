import { apiError } from '../api-error.js';
import { parseObject, readBody } from '../http/body.js';
import { answerObject } from '../http/answer-object.js';
import type { ApiExchange } from '../http/exchange.js';
import { objectFrom } from '../http/object-form.js';
import { applyPatch, decodePatched, readPatch } from '../http/patch-request.js';
import type { ResourcePath } from '../http/request-info.js';
import { applyForce, writeOptions } from '../http/write-options.js';
import { isObject, type Json, stringOf } from '../../base/json.js';
import { applyConfiguration } from '../managed-fields/apply.js';
import type { ApiObject } from '../object.js';
import { apiVersionOf } from '#base/kube/resource.js';
import type { Operations } from '../registry/operations.js';
import type { ServedResource, ScaleMapping } from '../registry/resource.js';
import type { BodyView } from '../registry/write-options.js';
import { builtinSchemas } from '../schema/builtin-schema.js';
import { fromScale, printedScale, toScale } from './scale.js';

const scaleType = { apiVersion: 'autoscaling/v1', kind: 'Scale' } as const;
const scaleSchema = builtinSchemas.get('api.autoscaling.v1.Scale');

/** Serves the scale subresource of any resource that has one. */
export class ScaleHandler {
  readonly #operations: Operations;

  constructor(operations: Operations) {
    this.#operations = operations;
  }

  async handle(
    exchange: ApiExchange,
    path: ResourcePath,
    resource: ServedResource,
    mapping: ScaleMapping,
    verb: string,
  ): Promise<void> {
    const target = { namespace: path.namespace, name: path.name ?? '' };
    const answer = (object: ApiObject): void =>
      answerObject(exchange, 200, toScale(object, mapping), printedScale);
    switch (verb) {
      case 'get':
        return answer(await this.#operations.read(resource, target));
      case 'update': {
        const options = { ...writeOptions(exchange, path, 'UpdateOptions'), body: viewOf(mapping) };
        const raw = await readBody(exchange.request);
        const scale = objectFrom(parseObject(exchange.request, raw, 'Scale').value, scaleType);
        assertScaleName(scale, target.name);
        const build = (o: ApiObject): ApiObject => fromScale(o, scale, mapping);
        return answer(await this.#operations.modify(resource, target, build, options));
      }
      case 'patch':
        return answer(await this.#patch(exchange, path, resource, mapping));
      default:
        throw apiError.methodNotAllowed();
    }
  }

  async #patch(
    exchange: ApiExchange,
    path: ResourcePath,
    resource: ServedResource,
    mapping: ScaleMapping,
  ): Promise<ApiObject> {
    const patch = await readPatch(exchange.request, { allowsStrategic: !resource.isCustom });
    const isForced = applyForce(exchange.url.searchParams, patch.type === 'apply');
    const options = { ...writeOptions(exchange, path, 'PatchOptions'), body: viewOf(mapping) };
    const target = { namespace: path.namespace, name: path.name ?? '' };
    if (patch.type === 'apply') {
      const applied = appliedScale(patch.value);
      const who = {
        manager: options.manager,
        apiVersion: apiVersionOf(resource),
        subresource: 'scale',
      };
      const build = (live: ApiObject): ApiObject => {
        // Only the number is applied: it is owned where the object itself keeps it.
        const bare = { apiVersion: live.apiVersion, kind: live.kind, metadata: { ...live.metadata } };
        for (const key of [
          'labels',
          'annotations',
          'finalizers',
          'ownerReferences',
          'managedFields',
        ] as const) {
          delete bare.metadata[key];
        }
        const number = fromScale(bare, applied, mapping);
        return applyConfiguration({ live, applied: number, schema: resource.schema, who, force: isForced });
      };
      return this.#operations.modify(resource, target, build, options, { isApply: true });
    }
    const build = (object: ApiObject): ApiObject => {
      const patched = applyPatch(patch, toScale(object, mapping), scaleSchema);
      const scale = decodePatched(patch, patched, () => objectFrom(patched, scaleType));
      assertScaleName(scale, target.name);
      return fromScale(object, scale, mapping);
    };
    return this.#operations.modify(resource, target, build, options);
  }
}

/** A Scale as admission sees it. */
function viewOf(mapping: ScaleMapping): BodyView {
  return {
    type: { group: 'autoscaling', version: 'v1', kind: 'Scale' },
    show: (object) => toScale(object, mapping),
    write: (object, scale) => fromScale(object, scale, mapping),
  };
}

function appliedScale(value: Json): ApiObject {
  const given = isObject(value) ? value : {};
  if (given.apiVersion !== scaleType.apiVersion || given.kind !== scaleType.kind) {
    throw apiError.badRequest(
      `invalid object type: ${stringOf(given.apiVersion) || '/'}, Kind=${stringOf(given.kind)}`,
    );
  }
  return objectFrom(value, scaleType);
}

function assertScaleName(scale: ApiObject, name: string): void {
  const own = scale.metadata.name;
  if (own === name) return;
  throw apiError.badRequest(
    own === ''
      ? `the name of the object (${name} based on URL) was undeterminable: name must be provided`
      : `the name of the object (${own}) does not match the name on the URL (${name})`,
  );
}
