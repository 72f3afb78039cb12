import { createHash } from 'node:crypto';
import { labelSelectorMatches } from '#base/kube/labels.js';
import type { LabelSelector } from '#base/kube/types.js';
import { type IpFamily, familyOf } from '#base/net/address.js';
import { canonicalJson } from '../controllers/template-hash.js';

/** A pod as policies see it. */
export interface PolicyPod {
  readonly uid: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly node: string | undefined;
  readonly ips: readonly string[];
  readonly ports: readonly { readonly name: string; readonly protocol: string; readonly port: number }[];
}

/** Which pods belong to a set, and what of them is written into it. */
export interface PodSetSpec {
  readonly kind: 'pods';
  /** `address`: the pod; `port`: the pod with a port it names. */
  readonly entry: 'address' | 'port';
  /** Only pods of the node the set is on. */
  readonly isLocal: boolean;
  /** A pod belongs to the set when any of these matches it. */
  readonly anyOf: readonly PodMatch[];
  /** With entry `port`. */
  readonly port?: { readonly name: string; readonly protocol: string };
}

/** Pods by namespace (by name, by labels, or any) and by their own labels. */
export interface PodMatch {
  readonly namespace?: string;
  readonly namespaceSelector?: LabelSelector;
  readonly podSelector: LabelSelector;
}

/** A network with holes. */
export interface BlockSetSpec {
  readonly kind: 'block';
  readonly cidr: string;
  readonly except: readonly string[];
}

export type SetSpec = PodSetSpec | BlockSetSpec;

const ids = new WeakMap<SetSpec, string>();

/** Equal content, equal id, so that policies share sets; computed once per object. */
export function setId(spec: SetSpec): string {
  const known = ids.get(spec);
  if (known !== undefined) return known;
  const id = createHash('sha256').update(canonicalJson(spec)).digest('hex').slice(0, 16);
  ids.set(spec, id);
  return id;
}

/** Name of a set in a node's namespace. Leaves room for a suffix: a name has at most 31 characters. */
export function setName(spec: SetSpec, family: IpFamily): string {
  return `netpol-${family === 'IPv4' ? 'v4' : 'v6'}-${setId(spec)}`;
}

/** The ipset type that holds a set's entries. */
export function setType(spec: SetSpec): string {
  if (spec.kind === 'block') return 'hash:net';
  return spec.entry === 'address' ? 'hash:ip' : 'hash:ip,port';
}

export function isInPodSet(
  spec: PodSetSpec,
  pod: PolicyPod,
  namespaceLabels: Readonly<Record<string, string>> | undefined,
): boolean {
  return spec.anyOf.some(
    (match) =>
      (match.namespace === undefined || match.namespace === pod.namespace) &&
      (match.namespaceSelector === undefined ||
        (namespaceLabels !== undefined && labelSelectorMatches(match.namespaceSelector, namespaceLabels))) &&
      labelSelectorMatches(match.podSelector, pod.labels),
  );
}

/** What a pod puts into a set of a family. */
export function podEntries(spec: PodSetSpec, pod: PolicyPod, family: IpFamily): string[] {
  const ips = pod.ips.filter((ip) => familyOf(ip) === family);
  if (spec.entry === 'address') return ips;
  return pod.ports
    .filter((port) => port.name === spec.port?.name && port.protocol === spec.port.protocol)
    .flatMap((port) => ips.map((ip) => `${ip},${port.protocol.toLowerCase()}:${port.port}`));
}

/** Entries of a network with holes; a set cannot hold /0, so that becomes its halves. */
export function blockEntries(spec: BlockSetSpec, family: IpFamily): string[] {
  if (familyOf(spec.cidr) !== family) return [];
  const halves = (cidr: string): string[] => {
    if (!cidr.endsWith('/0')) return [cidr];
    return family === 'IPv4' ? ['0.0.0.0/1', '128.0.0.0/1'] : ['::/1', '8000::/1'];
  };
  return [
    ...halves(spec.cidr),
    ...spec.except
      .filter((cidr) => familyOf(cidr) === family)
      .flatMap(halves)
      .map((cidr) => `${cidr} nomatch`),
  ];
}

interface PortedContainer {
  readonly restartPolicy?: string | undefined;
  readonly ports?:
    | readonly {
        readonly name?: string | undefined;
        readonly protocol?: string | undefined;
        readonly containerPort: number;
      }[]
    | undefined;
}

/** What is read of a pod's object, whichever component holds it. */
export interface PodObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string | undefined;
    readonly uid?: string | undefined;
    readonly labels?: Readonly<Record<string, string>> | undefined;
  };
  readonly spec: {
    readonly hostNetwork?: boolean | undefined;
    readonly nodeName?: string | undefined;
    readonly containers: readonly PortedContainer[];
    readonly initContainers?: readonly PortedContainer[] | undefined;
  };
  readonly status?:
    | {
        readonly phase?: string | undefined;
        readonly podIPs?: readonly { readonly ip: string }[] | undefined;
      }
    | undefined;
}

/**
 * The pod as policies see it; undefined when it has no network of its own (hostNetwork),
 * no address yet, or has ended and its address may be somebody else's.
 */
export function policyPod(pod: PodObject, ips: readonly string[]): PolicyPod | undefined {
  const { phase } = pod.status ?? {};
  if (pod.spec.hostNetwork === true || phase === 'Succeeded' || phase === 'Failed' || ips.length === 0)
    return undefined;
  const sidecars = (pod.spec.initContainers ?? []).filter((each) => each.restartPolicy === 'Always');
  return {
    uid: pod.metadata.uid ?? '',
    namespace: pod.metadata.namespace ?? '',
    labels: pod.metadata.labels ?? {},
    node: pod.spec.nodeName,
    ips,
    ports: [...pod.spec.containers, ...sidecars].flatMap((container) =>
      (container.ports ?? []).flatMap((port) =>
        port.name === undefined
          ? []
          : [{ name: port.name, protocol: port.protocol ?? 'TCP', port: port.containerPort }],
      ),
    ),
  };
}
