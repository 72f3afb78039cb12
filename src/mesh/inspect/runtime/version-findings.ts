import { someOf } from '#base/collections/some-of.js';
import { groupBy } from '#base/collections/group-by.js';
import type { Finding } from '../findings/finding.js';
import type { ComponentVersion } from '../mesh-versions.js';

/** Pods named as evidence of each version. */
const namedMax = 3;

/** Components of which pods run different versions, or another than the controller's. */
export function versionFindings(
  versions: readonly ComponentVersion[],
  meshNamespace: string,
): readonly Finding[] {
  const controllers = new Set(
    versions.filter(({ component }) => component === 'controller').map((v) => v.version),
  );
  const [only] = controllers;
  const wanted = controllers.size === 1 ? only : undefined;
  return [...groupBy(versions, ({ component }) => component)].flatMap(([component, own]) => {
    const byVersion = groupBy(own, ({ version }) => version);
    const odd = [...byVersion].filter(([version]) => wanted === undefined || version !== wanted);
    if (odd.length === 0 || (wanted === undefined && byVersion.size === 1)) return [];
    const all = [...byVersion].map(([version, pods]) => `${version} on ${placesOf(pods)}`);
    return [
      {
        code: 'MESH0962',
        severity: 'warning' as const,
        message:
          byVersion.size === 1
            ? `${component} runs version ${all[0]?.split(' on ')[0]}, the controller ${wanted}`
            : `${component} runs ${byVersion.size} versions: ${all.join('; ')}`,
        ...subjectFor(component, meshNamespace),
        evidence: odd.flatMap(([, pods]) =>
          pods
            .slice(0, namedMax)
            .map(({ namespace, pod, node, image }) => `${namespace}/${pod} on ${node}: ${image}`),
        ),
        fix: 'meshctl install rolls all components to one version',
      },
    ];
  });
}

function placesOf(pods: readonly ComponentVersion[]): string {
  return someOf(
    pods.map(({ node }) => node),
    namedMax,
  );
}

function subjectFor(component: ComponentVersion['component'], namespace: string): Pick<Finding, 'subject'> {
  switch (component) {
    case 'controller':
      return { subject: { kind: 'Deployment', namespace, name: 'istiod' } };
    case 'ztunnel':
      return { subject: { kind: 'DaemonSet', namespace, name: 'ztunnel' } };
    case 'cni':
      return { subject: { kind: 'DaemonSet', namespace, name: 'istio-cni-node' } };
    case 'waypoint':
      return {};
  }
}
