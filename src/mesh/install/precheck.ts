import { counted } from '#base/collections/counted.js';
import { messageOf } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { customResourceDefinitions, namespaces, nodes, pods, resourceQuotas } from '#base/kube/resource.js';
import type { CustomResourceDefinition, Namespace, Node, Pod, ResourceQuota } from '#base/kube/types.js';
import { foreignWebhookFindings, webhookResources } from '../inspect/checks/sidecar-leftovers-check.js';
import { componentSelectors } from '../inspect/component-pods.js';
import { readConfiguration } from '../inspect/configuration/live-configuration.js';
import { MeshObserver } from '../inspect/mesh-observer.js';
import { foreignMesh } from './cluster/foreign-mesh.js';
import { missingPermissions, permissionsFor, permissionText } from './cluster/permissions.js';
import { type PlatformFacts, detectCluster } from './cluster/platform.js';
import { nameOf } from './apply/plan-changes.js';
import { renderInstallation } from './render/installation.js';
import { readTemplateFiles } from '../templates/files.js';
import { effectiveValues } from './values/effective.js';
import { type Check, check } from './verify/check.js';

/** Whether the cluster can run the mesh, and what an installation would infer. */
export interface Precheck {
  readonly cluster: PlatformFacts;
  readonly checks: readonly Check[];
}

/** Oldest Kubernetes that serves everything the installation uses. */
const oldestMinor = 29;
/** The CNI plugin is chained on Linux only. */
const supportedOs = 'linux';

/** Looks at the cluster as it is; writes nothing. */
export async function precheck(
  client: KubeClient,
  o: { readonly namespace: string; readonly clientVersion: string; readonly signal: AbortSignal },
): Promise<Precheck> {
  const cluster = await detectCluster(client, o.signal);
  const groups = await Promise.all([
    checkSurroundings(client, { namespace: o.namespace, cluster }),
    guard('Permissions', 'suffice', () => checkPermissions(client, o)),
    guard('Other meshes', 'are absent', () => checkForeignMesh(client, o.namespace)),
  ]);
  return { cluster, checks: groups.flat() };
}

/** The part of it that install tells of and goes on: what it refuses for it finds out by itself. */
export async function checkSurroundings(
  client: KubeClient,
  { namespace, cluster }: { readonly namespace: string; readonly cluster: PlatformFacts },
): Promise<readonly Check[]> {
  const groups = await Promise.all([
    Promise.resolve(checkVersion(cluster)),
    guard('Nodes', 'run Linux', () => checkNodesOs(client)),
    guard(`Namespace ${namespace}`, 'admits node agents', () => checkNamespace(client, namespace)),
    guard(`Namespace ${namespace}`, 'has room for the mesh', () =>
      checkQuotas(client, { namespace, nodeCount: cluster.nodeCount }),
    ),
    guard('Gateway API', 'is absent or served as v1', () => checkGatewayApi(client)),
  ]);
  return groups.flat();
}

const fact = (subject: string, text: string, problem: string | undefined): Check =>
  check({ area: 'cluster', subject, fact: text, code: 'MESH0340', problem });

/** A check that cannot be made is a check that does not hold. */
async function guard(subject: string, text: string, look: () => Promise<Check[]>): Promise<Check[]> {
  try {
    return await look();
  } catch (error) {
    return [fact(subject, text, `cannot be looked at: ${messageOf(error)}`)];
  }
}

function checkVersion({ version }: PlatformFacts): Check[] {
  const minor = Number(/^v?1\.(\d+)/.exec(version)?.[1] ?? Number.NaN);
  const problem =
    minor >= oldestMinor ? undefined : `is ${version}; the oldest supported version is 1.${oldestMinor}`;
  return [fact('Kubernetes', `is 1.${oldestMinor} or newer`, problem)];
}

async function checkNodesOs(client: KubeClient): Promise<Check[]> {
  const list = await client.list<Node>(nodes);
  const others = list.filter((n) => n.metadata.labels?.['kubernetes.io/os'] !== supportedOs);
  const names = others.map((n) => n.metadata.name).join(', ');
  return [
    fact('Nodes', 'are there', list.length === 0 ? 'there are none' : undefined),
    fact(
      'Nodes',
      'run Linux',
      others.length === 0 ? undefined : `pods on ${names} cannot be captured: not Linux`,
    ),
  ];
}

async function checkPermissions(
  client: KubeClient,
  o: { readonly namespace: string; readonly clientVersion: string },
): Promise<Check[]> {
  const files = readTemplateFiles();
  const { clientVersion } = o;
  // Platforms differ in values, hardly in kinds; one that install refuses is judged by the plain profile.
  const effective = effectiveValues(files, { given: {}, platform: '', clientVersion });
  const planned = renderInstallation(files, effective, o);
  const missing = await missingPermissions(client, permissionsFor(planned.map((p) => p.object)));
  const problem = missing.length === 0 ? undefined : `you may not: ${missing.map(permissionText).join('; ')}`;
  return [fact('Permissions', 'suffice for an installation', problem)];
}

/** Control planes and node agents that run, and webhooks that were left behind or still act. */
async function checkForeignMesh(client: KubeClient, namespace: string): Promise<Check[]> {
  const [found, configuration] = await Promise.all([
    foreignMesh(client),
    readConfiguration(new MeshObserver(client, namespace), { resources: webhookResources }),
  ]);
  const webhooks = foreignWebhookFindings(configuration);
  return [
    fact(
      'Other meshes',
      'are absent',
      found.length === 0 ? undefined : `found ${found.map(nameOf).join(', ')}`,
    ),
    ...(webhooks.length === 0 ? [fact('Other meshes', 'left no webhooks', undefined)] : []),
    ...webhooks.map((finding) => ({
      area: 'cluster',
      subject: 'Other meshes',
      fact: 'left no webhooks',
      finding,
    })),
  ];
}

async function checkNamespace(client: KubeClient, name: string): Promise<Check[]> {
  const live = await client.getOrUndefined<Namespace>({ resource: namespaces, name });
  const level = live?.metadata.labels?.['pod-security.kubernetes.io/enforce'];
  const problem =
    live === undefined || level === undefined || level === 'privileged'
      ? undefined
      : `enforces pod security level ${level}, which refuses the node agents`;
  return [fact(`Namespace ${name}`, 'admits node agents', problem)];
}

/** Quotas that leave too few pods, or that count what our pods do not name. */
async function checkQuotas(
  client: KubeClient,
  { namespace, nodeCount }: { readonly namespace: string; readonly nodeCount: number },
): Promise<Check[]> {
  const quotas = await client.list<ResourceQuota>(resourceQuotas, { namespace });
  const own = await client.list<Pod>(pods, { namespace });
  const isOurs = ({ metadata }: Pod): boolean =>
    Object.values(componentSelectors).some((selector) => {
      const [key = '', value] = selector.split('=');
      return metadata.labels?.[key] === value;
    });
  // An agent and a proxy on each node, and the controller.
  const wanted = 2 * nodeCount + 1 - own.filter(isOurs).length;
  const problems = quotas.flatMap(({ metadata, spec, status }) => {
    const hard = status?.hard ?? spec?.hard ?? {};
    const podsMax = hard['pods'] ?? hard['count/pods'];
    const used = Number(status?.used?.['pods'] ?? status?.used?.['count/pods'] ?? 0);
    const limits = Object.keys(hard).filter((name) => name.startsWith('limits.'));
    return [
      ...(podsMax !== undefined && Number(podsMax) - used < wanted
        ? [
            `ResourceQuota ${metadata.name} admits ${counted(Math.max(0, Number(podsMax) - used), 'more pod')}, and the mesh needs ${wanted}`,
          ]
        : []),
      ...(limits.length > 0
        ? [
            `ResourceQuota ${metadata.name} refuses pods without ${limits.join(', ')}, and those of the mesh have none`,
          ]
        : []),
    ];
  });
  return [
    fact(
      `Namespace ${namespace}`,
      'has room for the mesh',
      problems.length === 0 ? undefined : problems.join('; '),
    ),
  ];
}

async function checkGatewayApi(client: KubeClient): Promise<Check[]> {
  const name = 'gateways.gateway.networking.k8s.io';
  const crd = await client.getOrUndefined<CustomResourceDefinition>({
    resource: customResourceDefinitions,
    name,
  });
  const isServed = crd?.spec.versions.some((v) => v.name === 'v1' && v.served) ?? true;
  return [
    fact(
      'Gateway API',
      crd === undefined ? 'is absent: install brings it' : 'is served as v1',
      isServed ? undefined : 'is installed, but too old: it does not serve gateways as v1',
    ),
  ];
}
