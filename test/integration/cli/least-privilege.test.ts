import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  authorizationPolicies,
  clusterRoleBindings,
  clusterRoles,
  gateways,
  services,
  type Resource,
} from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import { commandEntries } from '#cli/registry.js';
import type { CommandPermission } from '#cli/command.js';
import {
  configurationPermissions,
  descriptionPermissions,
  meshPermissions,
  nodeProxyPermissions,
} from '#cli/permissions.js';
import { roleBindings, roles } from '#mesh/install/kinds.js';
import { KubeletGatewayError } from '#sandbox/base/kubelet-gateway.js';
import { type Invocation, runInProcess } from '../../harness/in-process.js';
import { ClusterUnderTest, meshNamespace } from '../mesh/install/cluster.js';
import { localKubelet } from '../sandbox/apiserver/api-under-test.js';
import { addNamespace, addNode, addPod, hasDefaultAccount } from './mesh-objects.js';

// Each command as a ServiceAccount that holds exactly what its help lists, and then without each of these in turn.

/** Commands by path, as they are asked; each changes nothing, or nothing that another one minds. */
const invocations: Readonly<Record<string, readonly string[]>> = {
  install: ['--dry-run'],
  uninstall: ['--dry-run'],
  'verify-install': [],
  'manifest diff': [],
  precheck: [],
  version: [],
  analyze: ['-n', 'shop'],
  status: [],
  'proxy-status': [],
  'describe pod': ['web', '-n', 'shop'],
  'describe service': ['web', '-n', 'shop'],
  'describe namespace': ['shop'],
  'describe node': ['node-1'],
  'describe waypoint': ['waypoint', '-n', 'shop'],
  'describe gateway': ['waypoint', '-n', 'shop'],
  enroll: ['shop', '--waypoint'],
  unenroll: ['spare'],
  enrollment: ['-n', 'shop'],
  'waypoint apply': ['-n', 'shop', '--enroll-namespace'],
  'waypoint delete': ['gone', '-n', 'shop'],
  'waypoint list': ['-n', 'shop'],
  'waypoint status': ['-n', 'shop'],
  probe: ['web', 'web:80', '-n', 'shop'],
  'ztunnel-config all': ['--node', 'node-1'],
  'ztunnel-config log': ['--node', 'node-1'],
  'ztunnel-config workload': ['--node', 'node-1'],
  'ztunnel-config service': ['--node', 'node-1'],
  'ztunnel-config policy': ['--node', 'node-1'],
  'ztunnel-config certificate': ['--node', 'node-1'],
  'ztunnel-config connections': ['--node', 'node-1'],
};

let cluster: ClusterUnderTest;
/** Whose permissions are changed; each run is a member of its own, as requests of a run that failed go on for a moment. */
const group = 'testers';
let runs = 0;
const boundMs = 10_000;
const channel = 'http.client.response.finish';

beforeAll(async () => {
  subscribe(channel, hear);
  cluster = await ClusterUnderTest.start({
    kubelet: {
      ...localKubelet,
      portForward: () => Promise.reject(new KubeletGatewayError(500, 'connection refused')),
    },
  });
  await cluster.install();
  const { client } = cluster;
  await hasDefaultAccount(client, meshNamespace);
  await addNode(client, 'node-1');
  for (const [name, app] of [
    ['istiod-1', { app: 'istiod' }],
    ['ztunnel-1', { app: 'ztunnel' }],
    ['istio-cni-node-1', { 'k8s-app': 'istio-cni-node' }],
  ] as const) {
    await addPod(client, { namespace: meshNamespace, name, node: 'node-1', labels: app });
  }
  await addNamespace(client, 'spare');
  await addNamespace(client, 'shop', {
    'istio.io/dataplane-mode': 'ambient',
    'istio.io/use-waypoint': 'waypoint',
  });
  await addPod(client, { namespace: 'shop', name: 'web', node: 'node-1', labels: { app: 'web' } });
  const make = (resource: Resource, object: object) =>
    client.create(resource, object as KubeObject, { namespace: 'shop' });
  await make(services, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web' },
    spec: { selector: { app: 'web' }, ports: [{ port: 80 }] },
  });
  await make(gateways, {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name: 'waypoint' },
    spec: {
      gatewayClassName: 'istio-waypoint',
      listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }],
    },
  });
  await make(authorizationPolicies, {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'web' },
    spec: { selector: { matchLabels: { app: 'web' } } },
  });
  const apiGroup = 'rbac.authorization.k8s.io';
  for (const [role, binding, namespace] of [
    [clusterRoles, clusterRoleBindings, undefined],
    [roles, roleBindings, 'shop'],
    [roles, roleBindings, meshNamespace],
  ] as const) {
    const at = namespace === undefined ? {} : { namespace };
    const apiVersion = `${apiGroup}/v1`;
    await client.create(role, { apiVersion, kind: role.kind, metadata: { name: 'tester' } }, at);
    const bound = {
      apiVersion,
      kind: binding.kind,
      metadata: { name: 'tester' },
      roleRef: { apiGroup, kind: role.kind, name: 'tester' },
      subjects: [{ kind: 'Group', apiGroup, name: group }],
    };
    await client.create(binding, bound, at);
  }
}, 60_000);

afterAll(() => {
  unsubscribe(channel, hear);
  return cluster.stop();
});

/** One verb on one resource at one place. */
interface Permit extends Omit<CommandPermission, 'verbs' | 'why'> {
  readonly verb: string;
}

const textOf = ({ verb, resource, group = '', in: place }: Permit): string =>
  `${verb} ${resource}${group === '' ? '' : `.${group}`} (${place})`;

async function permitsOf(path: string): Promise<readonly Permit[]> {
  const entry = commandEntries.find((candidate) => candidate.path === path);
  const { permissions = [] } = (await entry?.load())?.command ?? {};
  const all = permissions.flatMap(({ verbs, resource, group, in: place }) =>
    verbs.map((verb): Permit => ({ verb, resource, ...(group === undefined ? {} : { group }), in: place })),
  );
  return [...new Map(all.map((permit) => [textOf(permit), permit])).values()];
}

async function grant(permits: readonly Permit[]): Promise<void> {
  const rules = (place: Permit['in']) =>
    permits
      .filter((permit) => permit.in === place)
      .map(({ verb, resource, group = '' }) => ({
        apiGroups: [group],
        resources: [resource],
        verbs: [verb],
      }));
  const { client } = cluster;
  await Promise.all([
    client.patch({ resource: clusterRoles, name: 'tester' }, { rules: rules('cluster') }),
    client.patch({ resource: roles, namespace: 'shop', name: 'tester' }, { rules: rules('namespace') }),
    client.patch(
      { resource: roles, namespace: meshNamespace, name: 'tester' },
      { rules: rules('mesh namespace') },
    ),
  ]);
}

/** What the API server refuses the commands of this process, as they hear it, in its words. */
const heard = new Set<string>();

function hear(message: unknown): void {
  const { request, response } = message as { request: ClientRequest; response: IncomingMessage };
  if (response.statusCode !== 403 || request.getHeader('impersonate-user') !== memberOf(runs)) return;
  const [path = ''] = request.path.split('?');
  const [, namespace, rest = ''] =
    /^\/(?:api\/v1|apis\/[^/]+\/[^/]+)\/(?:namespaces\/([^/]+)\/)?(.+)$/.exec(path) ?? [];
  const [resource, name, subresource] = rest.split('/');
  const verbs: Readonly<Record<string, string>> = {
    GET: name === undefined ? 'list' : 'get',
    POST: 'create',
    PUT: 'update',
    PATCH: 'patch',
    DELETE: 'delete',
  };
  const what = `${verbs[request.method]} ${resource}${subresource === undefined ? '' : `/${subresource}`}`;
  // A Namespace counts as in itself.
  const place = resource === 'namespaces' ? name : namespace;
  heard.add(`${what} ${place === undefined ? 'at the cluster scope' : `in the namespace "${place}"`}`);
}

const memberOf = (run: number): string => `tester-${run}`;

async function ask(path: string): Promise<Invocation & { refused: readonly string[] }> {
  runs++;
  heard.clear();
  const outcome = await runInProcess([
    ...path.split(' '),
    ...(invocations[path] ?? []),
    '-o',
    'json',
    '--timeout',
    '5s',
    '--kubeconfig',
    cluster.api.kubeconfig,
    '--as',
    memberOf(runs),
    '--as-group',
    group,
  ]);
  return { ...outcome, refused: [...heard] };
}

test('every command that asks a cluster is asked here', async () => {
  const withPermissions = await Promise.all(
    commandEntries.map(async ({ path }) => ((await permitsOf(path)).length === 0 ? [] : [path])),
  );
  expect(Object.keys(invocations).toSorted()).toEqual(withPermissions.flat().toSorted());
});

describe.each(Object.keys(invocations))('%s', (path) => {
  test('needs no more than its help lists', async () => {
    const all = await permitsOf(path);
    await grant(all);
    const { stdout, stderr, refused } = await ask(path);
    // Whether somebody may look everywhere, or in the mesh's own namespace, is found out by asking: theirs is enough.
    const isEnough = (request: string): boolean =>
      !request.endsWith('in the namespace "shop"') &&
      all.some(
        ({ verb, resource, in: place }) => place !== 'cluster' && request.startsWith(`${verb} ${resource} `),
      );
    expect(
      refused.filter((request) => !isEnough(request)),
      `${stdout}${stderr}`,
    ).toEqual([]);
  });

  test('without any one of it, it says what it did not see, and ends as it should', async () => {
    const all = await permitsOf(path);
    await grant(all);
    const { refused: always } = await ask(path);
    const problems: string[] = [];
    for (const lacking of all.filter((permit) => isTried(path, permit))) {
      await grant(all.filter((permit) => permit !== lacking));
      const startedMs = performance.now();
      const { code, stdout, stderr, refused } = await ask(path);
      const problem = (text: string): void => void problems.push(`without ${textOf(lacking)}: ${text}`);
      if (performance.now() - startedMs > boundMs) problem('took too long');
      if (![0, 1, 3].includes(code)) problem(`exit code ${code}: ${stderr}`);
      if (/MESH0199|TypeError|undefined/.test(stdout + stderr)) problem(`crashed: ${stderr}`);
      const told = `${textsIn(stdout).join('\n')}\n${stderr}`.replaceAll(/ in API group "[^"]*"/g, '');
      const unsaid = refused.filter((request) => !always.includes(request) && !isTold(request, told));
      if (unsaid.length > 0) problem(`was refused to ${unsaid.join(', ')}, and does not say so`);
    }
    expect(problems).toEqual([]);
  }, 120_000);
});

/** Verb, resource and place in one line. */
function isTold(request: string, told: string): boolean {
  const [verb = '', resource = '', ...place] = request.split(' ');
  return told
    .split(/[\n;]/)
    .some(
      (line) => line.includes(place.join(' ')) && new RegExp(`\\b${verb}\\b.*\\b${resource}\\b`).test(line),
    );
}

/** Every text in a document; one text, the output itself, where it is none. */
function textsIn(output: string): readonly string[] {
  const texts: string[] = [];
  const collect = (_: string, value: unknown): unknown => {
    if (typeof value === 'string') texts.push(value);
    return value;
  };
  try {
    JSON.parse(output, collect);
    return texts;
  } catch {
    return [`no document: ${output}`];
  }
}

/** What several commands read, they read by one reader: it is taken away from the one that stands for all. */
const shared: readonly (readonly [string, readonly CommandPermission[]])[] = [
  ['analyze', configurationPermissions],
  ['status', meshPermissions],
  ['describe service', descriptionPermissions],
  ['ztunnel-config all', nodeProxyPermissions],
];

function isTried(path: string, permit: Permit): boolean {
  return shared.every(
    ([standsFor, permissions], index) =>
      path === standsFor ||
      !permissions.some(
        ({ verbs, resource, group, in: place }) =>
          verbs.includes(permit.verb) &&
          resource === permit.resource &&
          group === permit.group &&
          (index === 0 || place === permit.in),
      ),
  );
}
