import type { KubeClient } from '#base/kube/client.js';
import { customResourceDefinitions, type Resource } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import {
  groupsOfPolicy,
  policyTypeWarnings,
  type TypedKind,
} from '../../apiserver/admission/policy/type-checks.js';
import { typedVersionsOf } from '../../apiserver/crd/custom-resource.js';
import type { JsonObject } from '../../base/json.js';
import { builtinResources } from '../../apiserver/builtin/builtin-table.js';
import type { Controller, ClusterControllerDeps, ControllerQueue } from './controller.js';

/** admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy. */
interface Policy extends KubeObject {
  spec?: JsonObject;
  status?: { observedGeneration?: number | undefined; typeChecking?: unknown; conditions?: unknown };
}

interface CustomResourceDefinition extends KubeObject {
  spec: JsonObject;
}

const policyResource: Resource = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  plural: 'validatingadmissionpolicies',
  kind: 'ValidatingAdmissionPolicy',
  isNamespaced: false,
};

/** Says in the status of every validating admission policy which of its expressions do not fit the kinds it names. */
export function policyTypesController(
  deps: ClusterControllerDeps,
  queue: ControllerQueue,
  o: {
    /** May list custom resource definitions. */
    readonly reader: KubeClient;
  },
): Controller {
  const policies = deps.caches.of<Policy>(policyResource);
  policies.onChange(({ object, isGone }) => {
    if (!isGone) queue.add(object.metadata.name);
  });
  return {
    name: 'policy-types',
    keys: () => policies.list().map((policy) => policy.metadata.name),
    reconcile: async (name) => {
      const policy = policies.get(undefined, name);
      const observedGeneration = policy?.metadata.generation;
      if (policy === undefined || policy.status?.observedGeneration === observedGeneration) return;
      const spec = policy.spec ?? {};
      const expressionWarnings = policyTypeWarnings(spec, await servedKinds(spec, o.reader));
      const typeChecking = expressionWarnings.length === 0 ? {} : { expressionWarnings };
      await deps.client.update<Policy>(
        { resource: policyResource, name, subresource: 'status' },
        { ...policy, status: { ...policy.status, observedGeneration, typeChecking } },
      );
    },
  };
}

/** The kinds a policy may name. Schemas of custom ones can be large: they are read when needed, and not kept. */
async function servedKinds(spec: JsonObject, reader: KubeClient): Promise<readonly TypedKind[]> {
  const builtin: readonly TypedKind[] = builtinResources();
  const isBuiltin = (group: string): boolean => group === '*' || builtin.some((k) => k.group === group);
  if (groupsOfPolicy(spec).every(isBuiltin)) return builtin;
  const definitions = await reader.list<CustomResourceDefinition>(customResourceDefinitions);
  return [...builtin, ...definitions.flatMap((definition) => typedVersionsOf(definition.spec))];
}
