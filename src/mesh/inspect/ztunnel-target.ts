import { MeshError } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { pods } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';
import { adminGet, componentPods, podOnNode } from './component-pods.js';
import { parseZtunnelDump, type ZtunnelDump } from './ztunnel-dump.js';

/** Reads the dump of a node proxy's pod. Rejects with MESH0210 or MESH0901. */
export function fetchZtunnelDump(client: KubeClient, ztunnel: Pod): Promise<ZtunnelDump> {
  return adminGet(client, ztunnel, '/config_dump', parseZtunnelDump);
}

export interface ZtunnelChoice {
  /** `NAME[.NAMESPACE]` of a ztunnel pod, or of an application pod (then the one of its node). */
  readonly pod?: string | undefined;
  readonly node?: string | undefined;
  readonly namespace: string;
  readonly meshNamespace: string;
}

export interface ChosenZtunnels {
  readonly pods: readonly Pod[];
  /** Set when an application pod was named: show only what belongs to it. */
  readonly only?: Pod;
}

/**
 * The node proxies a command is about: one named directly, by node or by one of the
 * pods it serves; else all. Rejects with MESH0902 when there is none.
 */
export async function chooseZtunnels(client: KubeClient, choice: ZtunnelChoice): Promise<ChosenZtunnels> {
  if (choice.pod !== undefined && choice.node !== undefined) {
    throw new MeshError('MESH0103', 'a pod and --node exclude each other');
  }
  const all = await componentPods(client, 'ztunnel', choice.meshNamespace);
  const onNode = (node: string | undefined): Pod => {
    const found = podOnNode(all, node);
    if (found !== undefined) return found;
    throw new MeshError('MESH0902', `no running ztunnel on node ${node ?? '(none)'}`, {
      evidence: `ztunnel runs on: ${all.map((p) => p.spec.nodeName).join(', ') || 'no node'}`,
    });
  };
  if (choice.node !== undefined) return { pods: [onNode(choice.node)] };
  if (choice.pod === undefined) {
    if (all.length > 0) return { pods: all };
    throw new MeshError('MESH0902', `no running ztunnel in namespace ${choice.meshNamespace}`);
  }
  const [name, namespace] = splitReference(choice.pod);
  const direct = all.find((p) => p.metadata.name === name);
  if (direct !== undefined) return { pods: [direct] };
  const pod = await client.get<Pod>({ resource: pods, name, namespace: namespace ?? choice.namespace });
  return { pods: [onNode(pod.spec.nodeName)], only: pod };
}

/** `NAME[.NAMESPACE]` split at the last dot whose right side may be a namespace; also `KIND/NAME`. */
export function splitReference(reference: string): readonly [name: string, namespace: string | undefined] {
  const bare = reference.includes('/') ? reference.slice(reference.indexOf('/') + 1) : reference;
  const dot = bare.lastIndexOf('.');
  return dot <= 0 ? [bare, undefined] : [bare.slice(0, dot), bare.slice(dot + 1)];
}
