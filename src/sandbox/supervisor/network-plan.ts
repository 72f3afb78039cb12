import type { IpFamily } from '#base/net/address.js';

/** Address families as `--ip-families` names them; the first one is the primary. */
export type IpFamilyName = 'ipv4' | 'ipv6';

/** The numbers of one family. Every node has one network for its pods. */
interface FamilyPlan {
  readonly family: IpFamily;
  /** Prefix length of the network that joins the nodes. */
  readonly nodePrefix: number;
  /** Every node's pods live in here. */
  readonly podNetwork: string;
  readonly serviceCidr: string;
  /** Load balancers' addresses. */
  readonly loadBalancerCidr: string;
  readonly apiServiceIp: string;
  readonly dnsIp: string;
  /** The sandbox itself on the bridge: API server and other control plane parts. */
  readonly controlPlaneIp: string;
  readonly nodeIp: (index: number) => string;
  readonly podCidr: (index: number) => string;
}

const plans: Readonly<Record<IpFamilyName, FamilyPlan>> = {
  ipv4: {
    family: 'IPv4',
    nodePrefix: 16,
    podNetwork: '10.244.0.0/16',
    serviceCidr: '10.96.0.0/16',
    loadBalancerCidr: '172.18.200.0/24',
    apiServiceIp: '10.96.0.1',
    dnsIp: '10.96.0.10',
    controlPlaneIp: '172.18.0.1',
    nodeIp: (index) => `172.18.0.${index + 1}`,
    podCidr: (index) => `10.244.${index}.0/24`,
  },
  ipv6: {
    family: 'IPv6',
    nodePrefix: 64,
    podNetwork: 'fd00:10:244::/56',
    serviceCidr: 'fd00:10:96::/112',
    loadBalancerCidr: 'fd00:172:18:200::/64',
    apiServiceIp: 'fd00:10:96::1',
    dnsIp: 'fd00:10:96::a',
    controlPlaneIp: 'fd00:172:18::1',
    // Decimal digits, so that node 10 is ::11 to the reader.
    nodeIp: (index) => `fd00:172:18::${index + 1}`,
    podCidr: (index) => `fd00:10:244:${index}::/64`,
  },
};

/** Where a node is on the network; lists have the primary family first. */
export interface NodeAddresses {
  readonly ips: readonly string[];
  readonly podCidrs: readonly string[];
}

/** The network of one sandbox; lists have the primary family first. */
export interface NetworkPlan {
  readonly families: readonly FamilyPlan[];
  readonly podNetworks: readonly string[];
  /** As the API server takes them: with a comma between. */
  readonly serviceCidr: string;
  readonly controlPlaneIps: readonly string[];
  /** In the primary family, as the DNS address and the API server's. */
  readonly controlPlaneIp: string;
  readonly dnsIp: string;
  readonly apiServiceIp: string;
  /** Addresses of the node with slot `index`, 1 to 50. */
  node(index: number): NodeAddresses;
}

/** The plan for one or two families. Throws a RangeError for none. */
export function networkPlan(names: readonly IpFamilyName[]): NetworkPlan {
  const families = names.map((name) => plans[name]);
  const [primary] = families;
  if (primary === undefined) throw new RangeError('a network needs an IP family');
  const { controlPlaneIp, dnsIp, apiServiceIp } = primary;
  return {
    families,
    podNetworks: families.map((each) => each.podNetwork),
    serviceCidr: families.map((each) => each.serviceCidr).join(','),
    controlPlaneIps: families.map((each) => each.controlPlaneIp),
    controlPlaneIp,
    dnsIp,
    apiServiceIp,
    node: (index) => ({
      ips: families.map((each) => each.nodeIp(index)),
      podCidrs: families.map((each) => each.podCidr(index)),
    }),
  };
}

/** Reads `--ip-families`; undefined when it is not one or two different families. */
export function parseIpFamilies(text: string): IpFamilyName[] | undefined {
  const names = text.split(',').map((name) => name.trim().toLowerCase());
  const isKnown = (name: string): name is IpFamilyName => name === 'ipv4' || name === 'ipv6';
  return names.every(isKnown) && new Set(names).size === names.length ? names : undefined;
}
