import type { Node } from '#base/kube/types.js';
import type { Finding } from '../findings/finding.js';

/** Nodes that are not Ready: whatever runs on them follows from it. */
export function nodeFindings(nodes: readonly Node[], now: number): readonly Finding[] {
  return nodes.flatMap((node) => {
    const finding = nodeFinding(node, now);
    return finding === undefined ? [] : [finding];
  });
}

/** How the API server says that it cannot reach the kubelet of a node. */
const unreachable = /error dialing backend|dial tcp|proxy error from/;

/** A node that counts as Ready still, but whose kubelet the API server does not reach; undefined when `why` is another. */
export function unreachableNode(name: string, why: string): Finding | undefined {
  if (!unreachable.test(why)) return undefined;
  return {
    code: 'MESH0957',
    severity: 'error',
    message: `Node ${name} does not answer the API server: it is down, or cut off`,
    subject: { kind: 'Node', name },
    evidence: [why],
    fix: `kubectl describe node ${name}; look at the machine and its network`,
  };
}

function nodeFinding(node: Node, now: number): Finding | undefined {
  const { name } = node.metadata;
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready');
  if (ready?.status === 'True') return undefined;
  const since = ready?.lastTransitionTime;
  const duration = since === undefined ? '' : ` since ${since} (${agoText(now - Date.parse(since))})`;
  return {
    code: 'MESH0957',
    severity: 'error',
    message: `Node ${name} is NotReady${duration}`,
    subject: { kind: 'Node', name },
    evidence:
      ready === undefined
        ? ['its kubelet has not reported']
        : [`Ready is ${ready.status}: ${[ready.reason, ready.message].filter(Boolean).join(': ')}`],
    fix: `kubectl describe node ${name}; start it again, or remove it: kubectl delete node ${name}`,
  };
}

/** A span of time as people say it, in one unit: `40 s`, `5 min`, `3 h`, `2 d`. */
export function agoText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} d`;
}
