import { ExactQuantity } from '../../../base/exact-quantity.js';
import { apiError } from '../../api-error.js';
import { childOf, type JsonObject, objectOf, objectsOf, stringOf } from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import type { Store } from '../../storage/store.js';
import type { AdmissionPlugin } from '../../registry/admission.js';
import { containersOf, podAmounts } from '../pods/pod-resources.js';
import { type Amounts, amountsOf } from '../pods/amounts.js';

const annotation = 'kubernetes.io/limit-ranger';

interface Sized {
  readonly requests: Amounts;
  readonly limits: Amounts;
}

/** Gives pods the default requests and limits of their namespace, and holds pods and claims to its bounds. */
export function limitRanger(store: Store): AdmissionPlugin {
  const rangesOf = (namespace: string | undefined): readonly ApiObject[] =>
    namespace === undefined ? [] : store.list('limitranges', namespace);
  return {
    name: 'LimitRanger',
    admit: ({ operation, resource, object, subresource }) => {
      if (operation !== 'CREATE' || resource.storage !== 'pods' || (subresource ?? '') !== '') return;
      for (const range of rangesOf(object.metadata.namespace)) applyDefaults(object, range);
    },
    validate: ({ operation, resource, object, subresource }) => {
      const isPod = resource.storage === 'pods' && operation === 'CREATE';
      const isClaim = resource.storage === 'persistentvolumeclaims' && operation !== 'DELETE';
      if ((subresource ?? '') !== '' || !(isPod || isClaim)) return;
      for (const range of rangesOf(object.metadata.namespace)) {
        const problems = isPod ? podProblems(object, range) : claimProblems(object, range);
        if (problems.length === 0) continue;
        const text = problems.length === 1 ? (problems[0] ?? '') : `[${problems.join(', ')}]`;
        throw apiError.forbidden(resource, object.metadata.name, text);
      }
    },
  };
}

function itemsOf(range: ApiObject, type: string): JsonObject[] {
  return objectsOf(objectOf(range.spec).limits).filter((item) => item.type === type);
}

function applyDefaults(pod: ApiObject, range: ApiObject): void {
  const notes: string[] = [];
  const limits = new Map<string, string>();
  const requests = new Map<string, string>();
  for (const item of itemsOf(range, 'Container')) {
    for (const [name, q] of amountsOf(item.default)) limits.set(name, q.toString());
    for (const [name, q] of amountsOf(item.defaultRequest)) requests.set(name, q.toString());
  }
  if (limits.size === 0 && requests.size === 0) return;
  const spec = objectOf(pod.spec);
  const visit = (list: JsonObject[], kind: string): void => {
    for (const container of list) {
      const resources = childOf(container, 'resources');
      const set = (values: ReadonlyMap<string, string>, key: 'requests' | 'limits', word: string): void => {
        const target = { ...objectOf(resources[key]) };
        const added = [...values.keys()].filter((name) => target[name] === undefined).sort();
        for (const name of added) target[name] = values.get(name);
        if (added.length === 0) return;
        resources[key] = target;
        notes.push(`${added.join(', ')} ${word} for ${kind} ${stringOf(container.name)}`);
      };
      set(requests, 'requests', 'request');
      set(limits, 'limits', 'limit');
    }
  };
  visit(objectsOf(spec.containers), 'container');
  visit(objectsOf(spec.initContainers), 'init container');
  if (notes.length === 0) return;
  pod.metadata.annotations = {
    ...pod.metadata.annotations,
    [annotation]: `LimitRanger plugin set: ${notes.join('; ')}`,
  };
}

function podProblems(pod: ApiObject, range: ApiObject): string[] {
  const spec = objectOf(pod.spec);
  const problems: string[] = [];
  for (const item of itemsOf(range, 'Container')) {
    for (const container of containersOf(spec)) {
      const { requests, limits } = objectOf(container.resources);
      problems.push(
        ...itemProblems(item, { requests: amountsOf(requests), limits: amountsOf(limits) }, 'Container'),
      );
    }
  }
  for (const item of itemsOf(range, 'Pod')) {
    const sized = { requests: podAmounts(spec, 'requests'), limits: podAmounts(spec, 'limits') };
    problems.push(...itemProblems(item, sized, 'Pod'));
  }
  return problems;
}

function claimProblems(claim: ApiObject, range: ApiObject): string[] {
  const requests = amountsOf(objectOf(objectOf(claim.spec).resources).requests);
  const asked = requests.get('storage') ?? ExactQuantity.zero;
  return itemsOf(range, 'PersistentVolumeClaim').flatMap((item) => {
    const problems: string[] = [];
    const min = amountsOf(item.min).get('storage');
    const max = amountsOf(item.max).get('storage');
    if (min !== undefined && asked.compare(min) < 0) {
      problems.push(
        `minimum storage usage per PersistentVolumeClaim is ${min.toString()}, but request is ${asked.toString()}`,
      );
    }
    if (max !== undefined && asked.compare(max) > 0) {
      problems.push(
        `maximum storage usage per PersistentVolumeClaim is ${max.toString()}, but request is ${asked.toString()}`,
      );
    }
    return problems;
  });
}

function itemProblems(item: JsonObject, { requests, limits }: Sized, type: string): string[] {
  const problems: string[] = [];
  for (const [name, min] of amountsOf(item.min)) {
    const request = requests.get(name);
    const limit = limits.get(name);
    const least = `minimum ${name} usage per ${type} is ${min.toString()}`;
    if (request === undefined) problems.push(`${least}.  No request is specified`);
    else if (request.compare(min) < 0) problems.push(`${least}, but request is ${request.toString()}`);
    if (limit !== undefined && limit.compare(min) < 0)
      problems.push(`${least}, but limit is ${limit.toString()}`);
  }
  for (const [name, max] of amountsOf(item.max)) {
    const request = requests.get(name);
    const limit = limits.get(name);
    const most = `maximum ${name} usage per ${type} is ${max.toString()}`;
    if (limit === undefined) problems.push(`${most}.  No limit is specified`);
    else if (limit.compare(max) > 0) problems.push(`${most}, but limit is ${limit.toString()}`);
    if (request !== undefined && request.compare(max) > 0) {
      problems.push(`${most}, but request is ${request.toString()}`);
    }
  }
  for (const [name, ratio] of amountsOf(item.maxLimitRequestRatio)) {
    problems.push(...ratioProblems(name, ratio, { requests, limits }, type));
  }
  return problems;
}

function ratioProblems(
  name: string,
  ratio: ExactQuantity,
  { requests, limits }: Sized,
  type: string,
): string[] {
  const request = requests.get(name) ?? ExactQuantity.zero;
  const limit = limits.get(name) ?? ExactQuantity.zero;
  const rule = `${name} max limit to request ratio per ${type} is ${ratio.toString()}`;
  if (request.isZero) return [`${rule}, but no request is specified or request is 0`];
  if (limit.isZero) return [`${rule}, but no limit is specified or limit is 0`];
  // limit / request > ratio, without rounding: both sides in billionths.
  if (limit.nano * 1_000_000_000n <= ratio.nano * request.nano) return [];
  return [`${rule}, but provided ratio is ${(Number(limit.nano) / Number(request.nano)).toFixed(6)}`];
}
