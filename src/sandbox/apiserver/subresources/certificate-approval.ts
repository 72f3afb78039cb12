import { answerObject } from '../http/answer-object.js';
import { apiError } from '../api-error.js';
import { parseObject, readBody } from '../http/body.js';
import type { ApiExchange } from '../http/exchange.js';
import { objectFrom } from '../http/object-form.js';
import { readPatch } from '../http/patch-request.js';
import type { ResourcePath } from '../http/request-info.js';
import { writeOptions } from '../http/write-options.js';
import { cloneJson, objectOf, objectsOf } from '../../base/json.js';
import { signingStatusErrors } from '../kinds/certificates/signing-request.js';
import type { ApiObject } from '../object.js';
import { timestamp } from '../../base/timestamp.js';
import type { Operations } from '../registry/operations.js';
import { typeOf } from '../registry/present.js';
import type { ServedResource } from '../registry/resource.js';
import { patchedObject } from '../http/patched-object.js';

/** New conditions get the time at which they were written. */
function stampConditions(csr: ApiObject): void {
  const now = timestamp();
  for (const condition of objectsOf(objectOf(csr.status).conditions)) {
    condition.lastUpdateTime ??= now;
    condition.lastTransitionTime ??= now;
  }
}

/** Serves certificatesigningrequests/approval: of the request itself only conditions are written there. */
export async function serveApproval(
  operations: Operations,
  exchange: ApiExchange,
  path: ResourcePath,
  requests: ServedResource,
  verb: string,
): Promise<void> {
  const target = { namespace: undefined, name: path.name ?? '' };
  if (verb === 'get') return answerObject(exchange, 200, operations.get(requests, target), requests);
  if (verb !== 'patch' && verb !== 'update') throw apiError.methodNotAllowed();
  const options = writeOptions(exchange, path, verb === 'patch' ? 'PatchOptions' : 'UpdateOptions');
  const build = async (): Promise<(current: ApiObject) => ApiObject> => {
    if (verb === 'patch') {
      const patch = await readPatch(exchange.request, { allowsStrategic: true });
      if (patch.type === 'apply') throw apiError.unroutableMediaType();
      return (current) => patchedObject(patch, current, requests, options);
    }
    const { value } = parseObject(exchange.request, await readBody(exchange.request), requests.kind);
    const body = objectFrom(value, typeOf(requests));
    return () => body;
  };
  const wanted = await build();
  const updated = await operations.modify(
    requests,
    target,
    (current) => {
      const asked = wanted(current);
      const next: ApiObject = { ...cloneJson(current), metadata: cloneJson(asked.metadata) };
      const { conditions, certificate } = objectOf(asked.status);
      next.status = {
        ...objectOf(next.status),
        ...(conditions === undefined ? {} : { conditions: cloneJson(conditions) }),
        ...(certificate === undefined ? {} : { certificate }),
      };
      stampConditions(next);
      const errors = signingStatusErrors(next, current, 'approval');
      if (errors.length > 0)
        throw apiError.invalid(requests.kind, requests.group, current.metadata.name, errors);
      return next;
    },
    options,
  );
  answerObject(exchange, 200, updated, requests);
}
