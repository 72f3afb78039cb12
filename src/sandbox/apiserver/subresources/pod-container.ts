import { apiError } from '../api-error.js';
import { objectsOf, valueIn, stringOf } from '../../base/json.js';
import type { ApiObject } from '../object.js';

const defaultContainerAnnotation = 'kubectl.kubernetes.io/default-container';

/** Names of a pod's containers of one kind. */
function names(pod: ApiObject, list: 'containers' | 'initContainers' | 'ephemeralContainers'): string[] {
  return objectsOf(valueIn(pod, 'spec', list)).map((c) => stringOf(c.name));
}

/** The container a request means: the one it names, else the only or annotated one. Throws 400. */
export function containerOf(pod: ApiObject, asked: string): string {
  const main = names(pod, 'containers');
  const init = names(pod, 'initContainers');
  const ephemeral = names(pod, 'ephemeralContainers');
  const { name } = pod.metadata;
  if (asked !== '') {
    if ([...main, ...init, ...ephemeral].includes(asked)) return asked;
    throw apiError.badRequest(`container ${asked} is not valid for pod ${name}`);
  }
  const preferred = pod.metadata.annotations?.[defaultContainerAnnotation];
  if (preferred !== undefined && main.includes(preferred)) return preferred;
  const [first] = main;
  if (first !== undefined && main.length === 1) return first;
  const others = init.length > 0 ? ` or one of the init containers: [${init.join(' ')}]` : '';
  throw apiError.badRequest(
    `a container name must be specified for pod ${name}, choose one of: [${main.join(' ')}]${others}`,
  );
}

/** Refuses pods that run nowhere yet. Throws 400. */
export function assertPlaced(pod: ApiObject): void {
  if (stringOf(valueIn(pod, 'spec', 'nodeName')) === '') {
    throw apiError.badRequest(`pod ${pod.metadata.name} does not have a host assigned`);
  }
}
