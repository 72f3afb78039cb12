import { describe, expect, it } from 'vitest';
import type { DaemonSet, Deployment, KubeObject } from '#base/kube/types.js';
import { resourceOf } from '#mesh/install/kinds.js';
import { renderInstallation } from '#mesh/install/render/installation.js';
import { readTemplateFiles } from '#mesh/templates/files.js';
import { effectiveValues, givenValues } from '#mesh/install/values/effective.js';

const files = readTemplateFiles();

function render(set: string[] = [], platform = '') {
  const given = givenValues(files, { set });
  const effective = effectiveValues(files, { given, platform, clientVersion: '1.2.3' });
  return renderInstallation(files, effective, { namespace: 'mesh', clientVersion: '1.2.3' });
}

function find<T extends KubeObject>(objects: ReturnType<typeof render>, kind: string, name: string): T {
  const found = objects.find((p) => p.object.kind === kind && p.object.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found.object as T;
}

const objects = render();

describe('values of the whole mesh', () => {
  const set = ['values.global.logAsJson=true', 'values.global.network=net-a'];
  const environment = (kind: string, name: string): Record<string, unknown> => {
    const { spec } = find<DaemonSet | Deployment>(render(set), kind, name);
    const env = spec.template.spec.containers[0]?.env ?? [];
    return Object.fromEntries(env.map((e) => [e.name, e.value]));
  };

  it('reach every component they concern', () => {
    expect(environment('Deployment', 'istiod')).toMatchObject({ LOG_FORMAT: 'json', NETWORK: 'net-a' });
    expect(environment('DaemonSet', 'istio-cni-node')).toMatchObject({ LOG_FORMAT: 'json' });
    expect(environment('DaemonSet', 'ztunnel')).toMatchObject({ LOG_FORMAT: 'json', NETWORK: 'net-a' });
  });
});

describe('images', () => {
  const imagesOf = (set: string[]): Record<string, unknown> => {
    const all = render(set);
    const containerOf = (kind: string, name: string) =>
      find<DaemonSet | Deployment>(all, kind, name).spec.template.spec.containers[0];
    const waypoint = containerOf('Deployment', 'istiod')?.env?.find((e) => e.name === 'WAYPOINT_IMAGE');
    return {
      controller: containerOf('Deployment', 'istiod')?.image,
      cni: containerOf('DaemonSet', 'istio-cni-node')?.image,
      ztunnel: containerOf('DaemonSet', 'ztunnel')?.image,
      waypoint: waypoint?.value,
    };
  };
  const digest = `sha256:${'a'.repeat(64)}`;

  it('are those of hub and tag', () => {
    expect(imagesOf(['hub=r.test:5000/mesh', 'tag=2'])).toEqual({
      controller: 'r.test:5000/mesh/controller:2',
      cni: 'r.test:5000/mesh/cni:2',
      ztunnel: 'r.test:5000/mesh/ztunnel:2',
      waypoint: 'r.test:5000/mesh/waypoint:2',
    });
  });

  it('or named one by one, also by digest', () => {
    const set = [
      `values.pilot.image=r.test/c@${digest}`,
      `values.cni.image=r.test/cni:1@${digest}`,
      'values.ztunnel.image=zt',
      `values.global.proxy.image=r.test/w@${digest}`,
    ];
    expect(imagesOf(set)).toEqual({
      controller: `r.test/c@${digest}`,
      cni: `r.test/cni:1@${digest}`,
      ztunnel: 'meshctl/zt:1.2.3',
      waypoint: `r.test/w@${digest}`,
    });
  });

  it.each(['hub=https://r.test', 'hub=Upper/Case', 'values.cni.image=a/b@sha256:1'])(
    '%s is refused',
    (set) => {
      expect(() => render([set])).toThrow(expect.objectContaining({ code: 'MESH1200' }) as Error);
    },
  );

  it('pull secrets reach every account, and waypoints through the controller', () => {
    const all = render(['values.global.imagePullSecrets={one,two}']);
    for (const { object } of all.filter((p) => p.object.kind === 'ServiceAccount'))
      expect(object).toMatchObject({ imagePullSecrets: [{ name: 'one' }, { name: 'two' }] });
    const { env = [] } = find<Deployment>(all, 'Deployment', 'istiod').spec.template.spec.containers[0] ?? {};
    expect(env).toContainEqual({ name: 'WAYPOINT_IMAGE_PULL_SECRETS', value: 'one,two' });
  });
});

describe('the ambient profile', () => {
  it('is rendered the same every time', () => {
    expect(JSON.stringify(render())).toBe(JSON.stringify(objects));
  });

  it('has no placeholder and no directive left outside CRDs', () => {
    const text = JSON.stringify(objects.filter((p) => p.stage !== 'crds'));
    expect(text).not.toMatch(/\{\{|\$when|\$each|\$merge|\$item/);
  });

  it('puts every namespaced object into the mesh namespace, labeled as ours', () => {
    for (const { object } of objects) {
      const expected = resourceOf(object).isNamespaced ? 'mesh' : undefined;
      expect(object.metadata.namespace).toBe(expected);
      expect(object.metadata.labels?.['app.kubernetes.io/managed-by']).toBe('meshctl');
    }
  });

  it('goes namespace, CRDs, configuration, agents, proxies', () => {
    const order = [...new Set(objects.map((p) => p.stage))];
    expect(order).toEqual(['namespace', 'crds', 'config', 'agents', 'proxies']);
    expect(find(objects, 'DaemonSet', 'ztunnel')).toBe(objects.at(-1)?.object);
  });

  it('has no object twice', () => {
    const names = objects.map(({ object }) => `${object.kind} ${object.metadata.name}`);
    expect(new Set(names).size).toBe(names.length);
  });

  it('binds every account to rules that exist', () => {
    const bindings = objects.filter((p) => p.object.kind.endsWith('RoleBinding'));
    expect(bindings.length).toBeGreaterThan(3);
    for (const { object } of bindings) {
      const { roleRef, subjects } = object as KubeObject & {
        roleRef: { kind: string; name: string };
        subjects: { name: string }[];
      };
      find(objects, roleRef.kind, roleRef.name);
      for (const subject of subjects) find(objects, 'ServiceAccount', subject.name);
    }
  });

  it('gives workloads only the capabilities they need', () => {
    const security = (kind: string, name: string) => {
      const workload = find<Deployment | DaemonSet>(objects, kind, name);
      return workload.spec.template.spec.containers[0]?.securityContext;
    };
    expect(security('Deployment', 'istiod')).toMatchObject({
      runAsNonRoot: true,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
    });
    for (const name of ['istio-cni-node', 'ztunnel']) {
      expect(security('DaemonSet', name)).toMatchObject({
        privileged: false,
        capabilities: { drop: ['ALL'] },
      });
    }
  });

  it('grants the controller no secrets outside its namespace', () => {
    const roles = objects.map((p) => p.object).filter((o) => o.kind === 'ClusterRole') as (KubeObject & {
      rules: { resources: string[]; verbs: string[] }[];
    })[];
    for (const { rules } of roles) {
      expect(rules.flatMap((r) => r.resources)).not.toContain('secrets');
      expect(rules.flatMap((r) => r.verbs)).not.toContain('*');
    }
  });
});

describe('values', () => {
  it('set images, replicas and environment', () => {
    const changed = render([
      'hub=registry.example/mesh',
      'tag=7',
      'values.pilot.replicaCount=3',
      'values.ztunnel.env.RUST_LOG=debug',
    ]);
    const controller = find<Deployment>(changed, 'Deployment', 'istiod');
    expect(controller.spec.replicas).toBe(3);
    expect(controller.spec.template.spec.containers[0]?.image).toBe('registry.example/mesh/controller:7');
    find(changed, 'PodDisruptionBudget', 'istiod');
    const env = find<DaemonSet>(changed, 'DaemonSet', 'ztunnel').spec.template.spec.containers[0]?.env ?? [];
    expect(env.filter((e) => e.name === 'RUST_LOG')).toEqual([{ name: 'RUST_LOG', value: 'debug' }]);
  });

  it('switch components off', () => {
    const kinds = render(['profile=minimal']).map((p) => p.object.kind);
    expect(kinds).toContain('Deployment');
    expect(kinds).not.toContain('DaemonSet');
    expect(render(['profile=empty'])).toEqual([]);
  });

  it('add quotas where the platform needs them', () => {
    const quotas = render([], 'gke').filter((p) => p.object.kind === 'ResourceQuota');
    expect(quotas.map((q) => q.object.metadata.name)).toEqual(['istio-cni-resource-quota', 'ztunnel']);
    expect(objects.filter((p) => p.object.kind === 'ResourceQuota')).toEqual([]);
  });

  it('reach the mesh configuration', () => {
    const changed = render(['meshConfig.trustDomain=example.org', 'meshConfig.waypointFailurePolicy=open']);
    const { data } = find<KubeObject & { data: Record<string, string> }>(changed, 'ConfigMap', 'istio');
    expect(data['mesh']).toContain('trustDomain: example.org');
    expect(data['mesh']).toContain('waypointFailurePolicy: open');
    expect(data['mesh']).toContain('rootNamespace: mesh');
  });
});

describe('CRDs', () => {
  const crds = objects.filter((p) => p.stage === 'crds').map((p) => p.object) as (KubeObject & {
    spec: {
      group: string;
      names: { plural: string };
      versions: { name: string; storage: boolean; schema: { openAPIV3Schema: unknown } }[];
    };
  })[];

  it.each(crds.map((crd) => [crd.metadata.name, crd] as const))('%s is structural', (name, crd) => {
    expect(name).toBe(`${crd.spec.names.plural}.${crd.spec.group}`);
    expect(crd.spec.versions.filter((v) => v.storage)).toHaveLength(1);
    for (const version of crd.spec.versions) {
      expect(untyped(version.schema.openAPIV3Schema, version.name)).toEqual([]);
    }
  });
});

/** Paths of schema nodes without a type: the API server would refuse them as not structural. */
function untyped(schema: unknown, path: string): string[] {
  if (typeof schema !== 'object' || schema === null) return [];
  const node = schema as Record<string, unknown>;
  const isFree =
    node['x-kubernetes-int-or-string'] === true || node['x-kubernetes-preserve-unknown-fields'] === true;
  const own = node['type'] === undefined && !isFree ? [path] : [];
  const properties = Object.entries((node['properties'] as object | undefined) ?? {});
  return [
    ...own,
    ...properties.flatMap(([key, child]) => untyped(child, `${path}.${key}`)),
    ...(node['items'] === undefined ? [] : untyped(node['items'], `${path}[]`)),
    ...(typeof node['additionalProperties'] === 'object'
      ? untyped(node['additionalProperties'], `${path}.*`)
      : []),
  ];
}
