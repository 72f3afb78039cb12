import { answerObject } from '../http/answer-object.js';
import { apiError, fieldError } from '../api-error.js';
import { parseObject, readBody } from '../http/body.js';
import type { ApiExchange } from '../http/exchange.js';
import { objectFrom } from '../http/object-form.js';
import { readPatch } from '../http/patch-request.js';
import type { ResourcePath } from '../http/request-info.js';
import { writeOptions } from '../http/write-options.js';
import { cloneJson, equalJson, objectsOf, valueIn, stringOf } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import type { Operations } from '../registry/operations.js';
import { typeOf } from '../registry/present.js';
import { type ServedResource, specOf } from '../registry/resource.js';
import { patchedObject } from '../http/patched-object.js';

const field = 'spec.ephemeralContainers';

function containersOf(pod: ApiObject, list: string) {
  return objectsOf(valueIn(pod, 'spec', list));
}

/** What is wrong with going from one set of ephemeral containers to another: they are only ever added. */
function assertOnlyAdded(old: ApiObject, next: ApiObject): void {
  const others = [...containersOf(next, 'containers'), ...containersOf(next, 'initContainers')].map(
    (c) => c.name,
  );
  const wanted = containersOf(next, 'ephemeralContainers');
  const errors = wanted.flatMap((container, i) => {
    const name = stringOf(container.name);
    const target = stringOf(container.targetContainerName);
    return [
      ...(others.includes(name) ? [fieldError.duplicate(`${field}[${i}].name`, name)] : []),
      ...(target !== '' && !others.includes(target)
        ? [fieldError.notFound(`${field}[${i}].targetContainerName`, target)]
        : []),
    ];
  });
  for (const was of containersOf(old, 'ephemeralContainers')) {
    const name = stringOf(was.name);
    const is = wanted.find((c) => c.name === name);
    if (is === undefined) {
      errors.push(
        fieldError.forbidden(field, `existing ephemeral containers "${name}" may not be removed\n`),
      );
    } else if (!equalJson(is, was)) {
      errors.push(
        fieldError.forbidden(field, `existing ephemeral containers "${name}" may not be changed\n`),
      );
    }
  }
  if (errors.length > 0) throw apiError.invalid('Pod', '', old.metadata.name, errors);
}

/** Serves pods/ephemeralcontainers: nothing else of the pod is written there. */
export async function serveEphemeralContainers(
  operations: Operations,
  exchange: ApiExchange,
  path: ResourcePath,
  pods: ServedResource,
  verb: string,
): Promise<void> {
  const target = { namespace: path.namespace, name: path.name ?? '' };
  const answer = (pod: ApiObject): void => answerObject(exchange, 200, pod, pods);
  if (verb === 'get') return answer(operations.get(pods, target));
  const build = async (): Promise<(current: ApiObject) => ApiObject> => {
    if (verb === 'patch') {
      const patch = await readPatch(exchange.request, { allowsStrategic: true });
      if (patch.type === 'apply') throw apiError.unroutableMediaType();
      return (current) => patchedObject(patch, current, pods, options);
    }
    const { value } = parseObject(exchange.request, await readBody(exchange.request), 'Pod');
    const body = objectFrom(value, typeOf(pods));
    return () => body;
  };
  if (verb !== 'patch' && verb !== 'update') throw apiError.methodNotAllowed();
  const options = writeOptions(exchange, path, verb === 'patch' ? 'PatchOptions' : 'UpdateOptions');
  const asked = await build();
  const merge = (current: ApiObject): ApiObject => {
    const wanted = asked(current);
    const next = cloneJson(current);
    const containers = valueIn(wanted, 'spec', 'ephemeralContainers');
    if (containers === undefined) delete specOf(next).ephemeralContainers;
    else specOf(next).ephemeralContainers = containers;
    next.metadata.resourceVersion = wanted.metadata.resourceVersion;
    pods.strategy.defaults?.(next);
    assertOnlyAdded(current, next);
    return next;
  };
  // Kubernetes records no owner for what is set here.
  answer(await operations.modify(pods, target, merge, { ...options, manager: '' }));
}
