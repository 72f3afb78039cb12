/** What the launcher tells the supervisor, as JSON. */
export interface SupervisorConfig {
  readonly name: string;
  readonly folder: string;
  readonly nodeCount: number;
  /** Port on the host's 127.0.0.1 that the inherited socket listens on. */
  readonly apiPort: number;
  readonly cniPluginDir: string;
  readonly nodeBinary: string;
  readonly version: string;
  readonly hub: string;
}

/** Fds the supervisor inherits. */
export const apiListenerFd = 3;

/** What the control socket's GET /status answers. */
export interface SupervisorStatus {
  readonly name: string;
  readonly phase: 'starting' | 'ready' | 'failed';
  /** What `up` is waiting for, or what failed. */
  readonly detail: string;
  readonly server: string;
  readonly nodes: readonly NodeStatus[];
  /** Resident memory of the supervisor, bytes. */
  readonly memoryBytes: number;
}

export interface NodeStatus {
  readonly name: string;
  readonly ip: string;
  readonly podCidr: string;
  readonly isReady: boolean;
  /** Pods bound to the node. */
  readonly podCount: number;
  /** Pid of the node's init in the sandbox's pid namespace. */
  readonly initPid: number | undefined;
}

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

/** Addresses of node number `index`, counted from 1. */
export function nodeAddresses(index: number): { name: string; ip: string; podCidr: string } {
  return { name: `node-${index}`, ip: `172.18.0.${index + 1}`, podCidr: `10.244.${index}.0/24` };
}
