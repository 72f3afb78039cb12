/** What the launcher tells the supervisor, as JSON. */
export interface SupervisorConfig {
  readonly name: string;
  readonly folder: string;
  /** Port on the host's 127.0.0.1 that the inherited socket listens on. */
  readonly apiPort: number;
  readonly cniPluginDir: string;
  readonly nodeBinary: string;
  readonly version: string;
  readonly hub: string;
  /** Objects and keys are kept on the disk, for the next `up`. */
  readonly isPersistent: boolean;
}

/** Fds the supervisor inherits. */
export const apiListenerFd = 3;

/** The network plan; the API server and DNS use the same numbers. */
export const clusterNetwork = {
  domain: 'cluster.local',
  families: ['v4'],
  /** Every node's pods live in here. */
  podNetworks: ['10.244.0.0/16'],
  serviceCidr: '10.96.0.0/16',
  apiServiceIp: '10.96.0.1',
  dnsIp: '10.96.0.10',
  /** The sandbox itself on the bridge: API server and other control plane parts. */
  controlPlaneIp: '172.18.0.1',
  apiPort: 6443,
} as const;

export const nodesMax = 50;

/** Where a node is on the network. */
export interface NodeAddresses {
  readonly ip: string;
  readonly podCidr: string;
}

/** Addresses of the node with slot `index`, 1 to {@link nodesMax}. */
export function nodeAddresses(index: number): NodeAddresses {
  return { ip: `172.18.0.${index + 1}`, podCidr: `10.244.${index}.0/24` };
}
