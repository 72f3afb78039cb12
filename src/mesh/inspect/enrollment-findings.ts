import type { Pod } from '#base/kube/types.js';
import type { PodEnrollment } from './enrollment.js';
import { type Finding, subjectOf } from './findings/finding.js';

/** Pods that belong in the mesh and are not captured; `parts` are the agents and proxies that serve their nodes. */
export function enrollmentFindings(
  pods: readonly PodEnrollment[],
  { meshNamespace, parts }: { readonly meshNamespace: string; readonly parts: readonly Pod[] },
): readonly Finding[] {
  return pods
    .filter(({ missing }) => missing.length > 0)
    .map(({ namespace, name, node, missing }) => ({
      code: 'MESH0920',
      severity: 'error' as const,
      message: `Pod ${namespace}/${name} belongs in the mesh and is not captured: ${missing.join('; ')}`,
      subject: { kind: 'Pod', namespace, name },
      concerns: [{ kind: 'Node', name: node }],
      dependsOn: [
        { kind: 'Namespace', name: meshNamespace },
        { kind: 'Node', name: node },
        { kind: 'DaemonSet', namespace: meshNamespace, name: 'istio-cni-node' },
        { kind: 'DaemonSet', namespace: meshNamespace, name: 'ztunnel' },
        ...parts
          .filter(({ spec }) => spec.nodeName === node)
          .map(({ metadata }) => subjectOf({ kind: 'Pod', metadata })),
      ],
      fix: `meshctl describe pod ${name}.${namespace}`,
    }));
}
