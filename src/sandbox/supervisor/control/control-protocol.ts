import type { ApiServerIdentity } from '../../base/api-server.js';
import type { ErrorDocument } from './control-error.js';

/**
 * What launcher and supervisor say to each other over the unix socket, as JSON over HTTP:
 *
 *     GET  /status                     SupervisorStatus
 *     GET  /memory                     SandboxMemory
 *     POST /shutdown                   {}
 *     POST /nodes                      AddNodesRequest -> NodesChange
 *     POST /nodes/NAME/ACTION          NodeActionRequest -> NodesChange; actions: nodeActions
 *
 * A refusal is an ErrorDocument. `/status` and `/shutdown` never change, so that any meshctl can
 * look at and end any sandbox; a request that the supervisor does not know is answered 404 without a code,
 * and the launcher says whose version is too old. Additions raise the number.
 */
export const controlProtocol = 2;

export interface SupervisorStatus {
  readonly name: string;
  readonly phase: 'starting' | 'ready' | 'failed';
  /** What `up` is waiting for, or what failed. */
  readonly detail: string;
  readonly server: string;
  /** Of meshctl that started the sandbox. */
  readonly version: string;
  readonly protocol: number;
  /** Undefined while it starts. */
  readonly apiServer: ApiServerIdentity | undefined;
  /** Why the API server does not serve now, as far as is known. */
  readonly apiServerTrouble?: string | undefined;
  /** Why it could not start; absent otherwise, and from versions before. */
  readonly failure?: ErrorDocument['error'] | undefined;
  readonly isPersistent: boolean;
  /** False when a persistent sandbox cannot write its objects now: the disk is full. */
  readonly isStateKept: boolean;
  /** RFC 3339. */
  readonly startedAt: string;
  readonly nodes: readonly SandboxNodeStatus[];
  /** Resident memory of the supervisor, bytes. */
  readonly memoryBytes: number;
}

export interface SandboxNodeStatus {
  readonly name: string;
  /** The primary family's first. */
  readonly ips: readonly string[];
  readonly podCidrs: readonly string[];
  /** `booting` also while a node that died comes back. */
  readonly power: 'booting' | 'running' | 'stopped';
  /** Its network cable is plugged in. */
  readonly isConnected: boolean;
  /** It runs, and the API server says Ready. */
  readonly isReady: boolean;
  /** Pods the node's kubelet looks after. */
  readonly podCount: number;
  /** Pid of the node's init in the sandbox's pid namespace. */
  readonly initPid: number | undefined;
}

/** What all processes of the sandbox use. */
export interface SandboxMemory {
  readonly processCount: number;
  /** Proportional set size, bytes: shared pages are divided among those that share them. */
  readonly pssBytes: number;
}

export interface AddNodesRequest {
  /** Names of nodes to add; each is a DNS label. */
  readonly names?: readonly string[];
  /** So many more nodes, with names of the sandbox's choice. */
  readonly count?: number;
}

export const nodeActions = ['remove', 'stop', 'start', 'disconnect', 'connect'] as const;
export type NodeAction = (typeof nodeActions)[number];

export interface NodeActionRequest {
  /** For `remove`: also while pods run on it. */
  readonly force?: boolean;
}

/** What an operation on nodes did. */
export interface NodesChange {
  /** The nodes it was about. */
  readonly nodes: readonly string[];
  /** False when they were as wanted already. */
  readonly isChanged: boolean;
}
