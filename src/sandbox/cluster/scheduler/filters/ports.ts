import type { Pod } from '#base/kube/types.js';
import { isFinished } from '../../controllers/pod-state.js';
import type { Filter } from '../cluster-view.js';

interface HostPort {
  readonly protocol: string;
  readonly port: number;
  readonly ip: string;
}

const anyAddress = new Set(['', '0.0.0.0', '::']);

/** Ports of the node that a pod asks for must be free. */
export const freePorts: Filter = (pod) => {
  const wanted = hostPorts(pod);
  return ({ pods }) => {
    if (wanted.length === 0) return undefined;
    const taken = pods.filter((each) => !isFinished(each)).flatMap(hostPorts);
    return wanted.some((port) => taken.some((other) => areInConflict(port, other)))
      ? { reason: "node(s) didn't have free ports for the requested pod ports", isResolvable: true }
      : undefined;
  };
};

function areInConflict(a: HostPort, b: HostPort): boolean {
  if (a.port !== b.port || a.protocol !== b.protocol) return false;
  return a.ip === b.ip || anyAddress.has(a.ip) || anyAddress.has(b.ip);
}

function hostPorts(pod: Pod): HostPort[] {
  const { containers, initContainers = [], hostNetwork } = pod.spec;
  const sidecars = initContainers.filter((each) => each.restartPolicy === 'Always');
  return [...containers, ...sidecars].flatMap((container) =>
    (container.ports ?? []).flatMap(({ hostPort, containerPort, protocol = 'TCP', hostIP = '' }) => {
      const port = hostPort ?? (hostNetwork === true ? containerPort : 0);
      return port > 0 ? [{ protocol, port, ip: hostIP }] : [];
    }),
  );
}
