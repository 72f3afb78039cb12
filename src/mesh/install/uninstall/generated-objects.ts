import { isNotFound } from '#base/kube/api-error.js';
import type { KubeClient, ListOptions } from '#base/kube/client.js';
import { gatewayManaged, redirection } from '#base/kube/labels.js';
import {
  configMaps,
  deployments,
  gatewayClasses,
  leases,
  namespaces,
  podDisruptionBudgets,
  pods,
  type Resource,
  secrets,
  serviceAccounts,
  services,
} from '#base/kube/resource.js';
import type { GatewayClass, KubeObject, Namespace, Pod } from '#base/kube/types.js';
import { mapConcurrently } from '#base/system/concurrency.js';

/** An object that the running mesh made, not the installer. */
export interface GeneratedObject {
  readonly resource: Resource;
  readonly name: string;
  readonly namespace?: string;
}

const rootCertificateName = 'istio-ca-root-cert';
/** Secrets of the mesh's certificate authority: its key, and the roots that are trusted. */
export const authoritySecrets: readonly string[] = ['istio-ca-secret', 'istio-ca-trust'];
const leasePrefix = 'istio-';
/** Controllers of the classes that the controller creates. */
const ourControllers = new Set([
  'istio.io/gateway-controller',
  'istio.io/mesh-controller',
  'istio.io/unmanaged-gateway',
]);

/**
 * Everything the controller made while it ran: deployments of Gateways, the root
 * certificate in every namespace, the authority's secrets, leases, GatewayClasses.
 */
export async function findGenerated(client: KubeClient, meshNamespace: string): Promise<GeneratedObject[]> {
  const managed = [deployments, podDisruptionBudgets, services, serviceAccounts];
  const [ofGateways, classes, electionLeases, spaces] = await Promise.all([
    mapConcurrently(managed, async (resource) =>
      (await listKnown(client, resource, { labelSelector: gatewayManaged })).map((o) => ref(resource, o)),
    ),
    listKnown<GatewayClass>(client, gatewayClasses),
    listKnown(client, leases, { namespace: meshNamespace }),
    client.list<Namespace>(namespaces),
  ]);
  const wanted: GeneratedObject[] = [
    ...ofGateways.flat(),
    ...classes.filter((c) => ourControllers.has(c.spec.controllerName)).map((c) => ref(gatewayClasses, c)),
    ...electionLeases.filter((l) => l.metadata.name.startsWith(leasePrefix)).map((l) => ref(leases, l)),
  ];
  const candidates: GeneratedObject[] = [
    ...authoritySecrets.map((name) => ({ resource: secrets, name, namespace: meshNamespace })),
    ...spaces.map((n) => ({
      resource: configMaps,
      name: rootCertificateName,
      namespace: n.metadata.name,
    })),
  ];
  const there = await mapConcurrently(
    candidates,
    async (c) => (await client.getOrUndefined(c)) !== undefined,
  );
  return [...wanted, ...candidates.filter((_, index) => there[index] === true)];
}

/** Removes the agent's annotation where no agent is left to do it. Resolves to the pods, as namespace/name. */
export async function clearAnnotations(client: KubeClient): Promise<string[]> {
  const marked = (await client.list<Pod>(pods)).filter(
    (p) => p.metadata.annotations?.[redirection] !== undefined,
  );
  await mapConcurrently(marked, async ({ metadata }) => {
    try {
      await client.patch(
        { resource: pods, name: metadata.name, namespace: metadata.namespace },
        { metadata: { annotations: { [redirection]: null } } },
      );
    } catch (error) {
      // The pod ended meanwhile, and its annotation with it.
      if (!isNotFound(error)) throw error;
    }
  });
  return marked.map((p) => `${p.metadata.namespace}/${p.metadata.name}`);
}

/** As `list`; a kind the cluster does not know has no objects. */
export async function listKnown<T extends KubeObject>(
  client: KubeClient,
  resource: Resource,
  options: ListOptions = {},
): Promise<T[]> {
  try {
    return await client.list<T>(resource, options);
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}

function ref(resource: Resource, { metadata }: KubeObject): GeneratedObject {
  const { name, namespace } = metadata;
  return { resource, name, ...(namespace === undefined ? {} : { namespace }) };
}
