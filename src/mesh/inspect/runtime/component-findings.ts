import { counted } from '#base/collections/counted.js';
import { isForbidden } from '#base/kube/api-error.js';
import { mapConcurrently } from '#base/system/concurrency.js';
import type { KubeClient } from '#base/kube/client.js';
import { daemonSets, deployments, pods, type Resource } from '#base/kube/resource.js';
import type { MeshObserver } from '../mesh-observer.js';
import type { DaemonSet, Deployment, Pod } from '#base/kube/types.js';
import { type Component, componentSelectors, isPodReady } from '../component-pods.js';
import { type Finding, type FindingSubject, subjectOf, subjectText } from '../findings/finding.js';
import { pluggedSecret, selfSignedSecret } from '../../identity/ca/material-secret.js';
import { podReason } from '../pod-reason.js';
import { explainPod, failedCreates, refusalFix } from '../pod-trouble.js';

/** What each component is called, and what happens without it. */
const components: Readonly<
  Record<Component, { readonly resource: Resource; readonly name: string; readonly effect: string }>
> = {
  controller: {
    resource: deployments,
    name: 'istiod',
    effect: 'proxies keep the configuration they have, and get no certificates',
  },
  cni: {
    resource: daemonSets,
    name: 'istio-cni-node',
    effect: 'new pods of the mesh cannot start there, and nobody repairs redirection',
  },
  ztunnel: {
    resource: daemonSets,
    name: 'ztunnel',
    effect: 'enrolled pods there have no connections',
  },
};

/** Pods explained in full; the rest of many is named with its reason only. */
const explainedMax = 5;
const concurrency = 8;

/**
 * What is wrong with a component: it is missing, or has pods that are missing or not ready, and why. Asked once for an
 * observer; nothing where the user may not look, which a tenant is told elsewhere.
 */
export function componentProblems(observer: MeshObserver, component: Component): Promise<readonly Finding[]> {
  return observer.once(`problems of ${component}`, async () => {
    try {
      return await problemsOf(observer, component);
    } catch (error) {
      if (isForbidden(error)) return [];
      throw error;
    }
  });
}

async function problemsOf(observer: MeshObserver, component: Component): Promise<readonly Finding[]> {
  const { meshNamespace } = observer;
  const own = await allPods(observer, component);
  if (component === 'controller') {
    // It waits for its certificate authority.
    const dependsOn = [selfSignedSecret, pluggedSecret].map((name) => ({
      kind: 'Secret',
      namespace: meshNamespace,
      name,
    }));
    return findingsOf(observer.client, { component, own, meshNamespace, dependsOn });
  }
  // A proxy or an agent waits for the controller.
  const controllers = await allPods(observer, 'controller');
  const dependsOn = [
    { kind: 'Deployment', namespace: meshNamespace, name: components.controller.name },
    ...controllers.map(({ metadata }) => subjectOf({ kind: 'Pod', metadata })),
  ];
  return findingsOf(observer.client, { component, own, meshNamespace, dependsOn });
}

function allPods(observer: MeshObserver, component: Component): Promise<readonly Pod[]> {
  const { client, meshNamespace } = observer;
  return observer.once(`all pods of ${component}`, () =>
    client.list<Pod>(pods, { namespace: meshNamespace, labelSelector: componentSelectors[component] }),
  );
}

async function findingsOf(
  client: KubeClient,
  of: {
    readonly component: Component;
    /** Its pods. */
    readonly own: readonly Pod[];
    readonly meshNamespace: string;
    readonly dependsOn: readonly FindingSubject[];
  },
): Promise<readonly Finding[]> {
  const { component, own, meshNamespace, dependsOn } = of;
  const { resource, name, effect } = components[component];
  const owner = await client.getOrUndefined<Deployment | DaemonSet>({
    resource,
    namespace: meshNamespace,
    name,
  });
  const subject = { kind: resource.kind, namespace: meshNamespace, name };
  if (owner === undefined) {
    return [
      {
        code: 'MESH0958',
        severity: 'error',
        message: `${subjectText(subject)} is missing${component === 'controller' ? '' : `: ${effect}`}`,
        subject,
        fix: 'meshctl install',
      },
    ];
  }
  const living = own.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const missing = wantedCount(owner) - living.length;
  const lacking: Finding[] = [];
  if (missing > 0) {
    const refusals = await failedCreates(client, meshNamespace, name);
    lacking.push({
      code: 'MESH0958',
      severity: 'error',
      message: `${subjectText(subject)} lacks ${missing} of ${counted(wantedCount(owner), 'pod')}: ${refusals[0] ?? 'they were not created'}`,
      subject,
      evidence: refusals,
      fix:
        refusalFix(refusals, meshNamespace) ??
        `kubectl describe ${subject.kind.toLowerCase()} ${name} -n ${meshNamespace}`,
    });
  } else if (wantedCount(owner) === 0) {
    lacking.push({
      code: 'MESH0958',
      severity: component === 'controller' ? 'error' : 'warning',
      message: `${subjectText(subject)} ${component === 'controller' ? 'is scaled to 0' : `asks for no pods: ${effect}`}`,
      subject,
      fix:
        component === 'controller'
          ? `kubectl scale deployment ${name} -n ${meshNamespace} --replicas=1`
          : `Look at its node selector: kubectl get daemonset ${name} -n ${meshNamespace} -o yaml`,
    });
  }
  const unready = living.filter((pod) => !isPodReady(pod));
  const explained = await mapConcurrently(
    unready.slice(0, explainedMax),
    async (pod) => ({ pod, trouble: await explainPod(client, pod) }),
    concurrency,
  );
  const rest = unready.slice(explainedMax).map((pod) => ({ pod, trouble: undefined }));
  return [
    ...lacking,
    ...[...explained, ...rest].map(({ pod, trouble }): Finding => {
      const node = pod.spec.nodeName;
      const where = node === undefined ? '' : ` on node ${node}`;
      return {
        code: 'MESH0959',
        severity: 'error',
        message: `${name} pod ${pod.metadata.name}${where} is not ready: ${podReason(pod)}`,
        subject: subjectOf({ kind: 'Pod', metadata: pod.metadata }),
        concerns: node === undefined ? [] : [{ kind: 'Node', name: node }],
        dependsOn: [...(node === undefined ? [] : [{ kind: 'Node', name: node }]), ...dependsOn],
        evidence:
          trouble
            ?.split('\n')
            .slice(1)
            .map((line) => line.trim()) ?? [],
        fix: `kubectl logs -n ${meshNamespace} ${pod.metadata.name}`,
      };
    }),
  ];
}

function wantedCount(owner: Deployment | DaemonSet): number {
  return owner.kind === 'DaemonSet'
    ? ((owner as DaemonSet).status?.desiredNumberScheduled ?? 0)
    : ((owner as Deployment).spec.replicas ?? 1);
}
