import { apiError } from '../../api-error.js';
import { equalJson, isObject, objectOf, objectsOf, stringMapOf, stringOf } from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import { specOf } from '../../registry/resource.js';
import type { Store } from '../../storage/store.js';
import type { AdmissionPlugin } from '../../registry/admission.js';

const storage = 'runtimeclasses.node.k8s.io';

function refuse(pod: ApiObject, detail: string): never {
  throw apiError.forbidden({ group: '', plural: 'pods' }, pod.metadata.name, detail);
}

/** Gives a pod what its RuntimeClass says of overhead and of the nodes that have the runtime. */
function applyClass(pod: ApiObject, runtime: ApiObject): void {
  const spec = specOf(pod);
  const overhead = objectOf(runtime.overhead).podFixed;
  if (isObject(overhead)) {
    if (isObject(spec.overhead) && !equalJson(spec.overhead, overhead))
      refuse(pod, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead");
    spec.overhead = { ...overhead };
  }
  const scheduling = objectOf(runtime.scheduling);
  const own = stringMapOf(spec.nodeSelector);
  const wanted = stringMapOf(scheduling.nodeSelector);
  for (const [key, value] of Object.entries(wanted)) {
    if (own[key] !== undefined && own[key] !== value) {
      refuse(
        pod,
        `conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${value}; pod.spec.nodeSelector[${key}] = ${own[key]}`,
      );
    }
  }
  if (Object.keys(wanted).length > 0) spec.nodeSelector = { ...own, ...wanted };
  const tolerations = objectsOf(spec.tolerations);
  const added = objectsOf(scheduling.tolerations).filter((t) => !tolerations.some((o) => equalJson(o, t)));
  if (added.length > 0) spec.tolerations = [...tolerations, ...added];
}

/** Checks a new pod's RuntimeClass and overhead. */
export function runtimeClass(store: Store): AdmissionPlugin {
  return {
    name: 'RuntimeClass',
    admit: ({ operation, resource, object, subresource }) => {
      if (operation !== 'CREATE' || resource.storage !== 'pods' || (subresource ?? '') !== '') return;
      const spec = specOf(object);
      const name = stringOf(spec.runtimeClassName);
      const runtime = name === '' ? undefined : store.get(storage, undefined, name);
      if (name !== '' && runtime === undefined)
        refuse(object, `pod rejected: RuntimeClass "${name}" not found`);
      if (runtime !== undefined) applyClass(object, runtime);
      else if (isObject(spec.overhead)) {
        refuse(object, 'pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead');
      }
    },
  };
}
