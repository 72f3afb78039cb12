import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { KubeClient, type ApiRequest } from '#base/kube/client.js';
import * as resources from '#base/kube/resource.js';
import { kinds, routeKinds, unhonoredKinds } from '#mesh/controller/model/kinds.js';
import type { Condition, ConfigMap, Gateway, KubeObject, Secret, Service } from '#base/kube/types.js';
import { eventually } from '../../sandbox/apiserver/api-under-test.js';
import { createCertificate } from './delta-client.js';
import { controllerRbac, MeshUnderTest, startReplica } from './mesh-under-test.js';

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}
type Role = KubeObject & { readonly rules?: readonly Rule[] };

/** One permission: verb, group/resource, and the name it is limited to, if any. */
type Permission = string;

/** A client that writes down what it asked for, as authorization sees it. */
class ObservedClient extends KubeClient {
  readonly used = new Set<Permission>();

  override request<T>(request: ApiRequest): Promise<T> {
    this.#note(request);
    return super.request<T>(request);
  }

  override stream(o: Parameters<KubeClient['stream']>[0]): AsyncGenerator<string, void, undefined> {
    this.#note({ method: 'GET', ...o });
    return super.stream(o);
  }

  #note({ method, path, query, contentType, body }: ApiRequest): void {
    const parts = path.split('/').filter((part) => part !== '');
    const isCore = parts[0] === 'api';
    const group = isCore ? '' : (parts[1] ?? '');
    const rest = parts.slice(isCore ? 2 : 3);
    const [plural = '', name, subresource] =
      rest[0] === 'namespaces' && rest.length > 2 ? rest.slice(2) : rest;
    const resource = subresource === undefined ? plural : `${plural}/${subresource}`;
    const selected = /metadata\.name=(.+)/.exec(String(query?.['fieldSelector'] ?? ''))?.[1];
    const note = (verb: string, only?: string) => {
      this.used.add(`${verb} ${group}/${resource}`);
      if (only !== undefined) this.used.add(`${verb} ${group}/${resource} ${only}`);
    };
    switch (method) {
      case 'GET':
        if (name !== undefined) return note('get', name);
        return note(query?.['watch'] === undefined ? 'list' : 'watch', selected);
      case 'POST':
        return note('create');
      case 'PUT':
        return note('update', name);
      case 'PATCH':
        // An apply may create.
        if (contentType?.includes('apply') === true && body !== undefined) note('create');
        return note('patch', name);
      case 'DELETE':
        return note('delete', name);
    }
  }
}

/** Conditions of an object, or of a route at its parents. */
interface Told {
  readonly conditions?: readonly Condition[];
  readonly parents?: readonly { readonly conditions: readonly Condition[] }[];
}
type Live = KubeObject & { readonly status?: Told };

function readRbac(): Role[] {
  return parseAllDocuments(controllerRbac()).map((document) => document.toJS() as Role);
}

function permissionsOf(roles: readonly Role[]): Permission[] {
  return roles
    .flatMap(({ rules }) => rules ?? [])
    .flatMap((rule) =>
      rule.verbs.flatMap((verb) =>
        rule.apiGroups.flatMap((group) =>
          rule.resources.flatMap((resource) =>
            rule.resourceNames === undefined
              ? [`${verb} ${group}/${resource}`]
              : rule.resourceNames.map((name) => `${verb} ${group}/${resource} ${name}`),
          ),
        ),
      ),
    );
}

describe('the controller under the rights it is installed with', () => {
  let mesh: MeshUnderTest;
  let client: ObservedClient;
  const stop = new AbortController();
  let running: Promise<void> = Promise.resolve();
  let ports = { http: 0, monitoring: 0, plaintextGrpc: 0, secureGrpc: 0 };

  beforeAll(async () => {
    mesh = await MeshUnderTest.startApi();
    await mesh.installCrds();
    await mesh.create(resources.namespaces, { metadata: { name: 'shop' } });
    client = new ObservedClient(await mesh.ownConnection());
    ({ running, ports } = await startReplica(client, { podName: 'istiod-1', signal: stop.signal }));
  });

  afterAll(async () => {
    stop.abort();
    await running;
    await mesh.stop();
  });

  test('does everything it is for', async () => {
    const inShop = (resource: resources.Resource, name: string) => ({ resource, namespace: 'shop', name });
    await eventually(
      async () =>
        (await mesh.client.getOrUndefined(inShop(resources.configMaps, 'istio-ca-root-cert'))) !== undefined,
    );
    await mesh.client.patch(inShop(resources.configMaps, 'istio-ca-root-cert'), {
      data: { 'root-cert.pem': 'x' },
    });
    await eventually(
      async () =>
        (await mesh.client.get<ConfigMap>(inShop(resources.configMaps, 'istio-ca-root-cert'))).data?.[
          'root-cert.pem'
        ]?.startsWith('-----') === true,
    );
    // A root that another replica found is told to the proxies, of which there are none.
    const trust = { resource: resources.secrets, namespace: 'istio-system', name: 'istio-ca-trust' };
    const recordOf = async (): Promise<string> => {
      const { data } = await mesh.client.get<Secret>(trust);
      return Buffer.from(data?.['trust.json'] ?? '', 'base64').toString('utf8');
    };
    const staged = (await recordOf()).replace('"isDistributed":true', '"isDistributed":false');
    await mesh.client.patch(trust, { data: { 'trust.json': Buffer.from(staged).toString('base64') } });
    expect(await recordOf()).toBe(staged);
    await eventually(async () => (await recordOf()).includes('"isDistributed":true'), 20_000);
    await mesh.create(resources.services, {
      metadata: { namespace: 'shop', name: 'backend', labels: { 'istio.io/use-waypoint': 'waypoint' } },
      spec: { ports: [{ port: 80 }] },
    } as never);
    const conditionOf = async (name: string) => {
      const service = await mesh.client.get<Service>(inShop(resources.services, name));
      return service.status?.conditions?.find(({ type }) => type === 'istio.io/WaypointBound');
    };
    await eventually(async () => (await conditionOf('backend'))?.reason === 'WaypointIsNotReady');
    await mesh.create(resources.gateways, {
      metadata: { namespace: 'shop', name: 'waypoint' },
      spec: {
        gatewayClassName: 'istio-waypoint',
        listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }],
      },
    } as never);
    await mesh.create(resources.authorizationPolicies, {
      metadata: { namespace: 'shop', name: 'deny-all' },
      spec: {},
    } as never);
    await eventually(
      async () => (await mesh.client.getOrUndefined(inShop(resources.deployments, 'waypoint'))) !== undefined,
    );
    await mesh.pod({
      namespace: 'shop',
      name: 'waypoint-1',
      ip: '10.244.1.9',
      node: 'node-1',
      serviceAccount: 'waypoint',
      labels: { 'gateway.networking.k8s.io/gateway-name': 'waypoint' },
    });
    await eventually(async () => {
      const gateway = await mesh.client.get<Gateway>(inShop(resources.gateways, 'waypoint'));
      return (
        gateway.status?.conditions?.some(({ type, status }) => type === 'Programmed' && status === 'True') ===
        true
      );
    });
    await eventually(async () => (await conditionOf('backend'))?.status === 'True');
    await mesh.api.ok(['apply', '-f', 'test/integration/mesh/controller/unhonored.yaml']);
    const told = (status: Told): boolean =>
      [...(status.conditions ?? []), ...(status.parents ?? []).flatMap(({ conditions }) => conditions)].some(
        (condition) => /^(Ztunnel)?Accepted$/.test(condition.type) && condition.status === 'False',
      );
    const silent = async () => {
      const objects = [...unhonoredKinds, ...routeKinds, 'listenerSets' as const, 'peerAuths' as const].map(
        (kind) => kinds[kind].resource,
      );
      const statuses = await Promise.all(
        objects.map(async (resource) => (await mesh.client.get<Live>(inShop(resource, 'x'))).status ?? {}),
      );
      return objects.filter((_, index) => !told(statuses[index] ?? {})).map(({ kind }) => kind);
    };
    await eventually(async () => (await silent()).length === 0).catch(() => undefined);
    expect(await silent()).toEqual([]);
    const refused = createCertificate({
      target: `127.0.0.1:${ports.secureGrpc}`,
      rootPem: await mesh.rootPem(),
      token: 'not-a-token',
      csr: '',
    });
    await expect(refused).rejects.toMatchObject({ code: 16 });
  });

  test('needs every right it has, and has no other', async () => {
    const granted = permissionsOf(readRbac());
    // Leases are renewed every few seconds.
    await eventually(async () => granted.every((permission) => client.used.has(permission)), 12_000).catch(
      () => undefined,
    );
    expect(granted.filter((permission) => !client.used.has(permission))).toEqual([]);
    const isGranted = (used: string) => {
      const [verb, resource, name] = used.split(' ');
      return granted.some(
        (g) =>
          g === used ||
          g === `${verb} ${resource}` ||
          (name === undefined && g.startsWith(`${verb} ${resource} `)),
      );
    };
    expect([...client.used].filter((used) => !isGranted(used))).toEqual([]);
  });
});
