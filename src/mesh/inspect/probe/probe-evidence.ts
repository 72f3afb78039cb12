import type { PodCapture } from '../capture-report.js';
import type { DumpConnection, DumpWorkload } from '../ztunnel-dump.js';
import type { AgentHttpAnswer, AgentOpening, AgentState } from './agent-probe.js';
import type { ProbedTarget } from './probe-target.js';

/** A pod as a probe names it. */
export interface ProbePod {
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly ip: string;
}

/** A tunnel as the waypoint's dump shows it. */
export interface WaypointTunnel {
  readonly src: string;
  readonly originalDst: string;
  readonly actualDst: string;
  readonly protocol: string;
  readonly client?: string;
  readonly tls?: DumpConnection['tls'];
}

/** A node proxy that was asked, or why it could not be. */
export interface AskedProxy {
  /** `ztunnel-abcde on node-1`, or the node's name where no proxy is known. */
  readonly name: string;
  readonly why?: string;
}

/** What a decision by policy rests on. */
export interface ProbePolicy {
  readonly isAllowed: boolean;
  /** `namespace/name`; undefined when no single policy decided. */
  readonly policy?: string;
  /** Who decided: `waypoint shop/waypoint`, `ztunnel-abcde on node-1`. */
  readonly by: string;
  readonly reason: string;
}

/** Everything that was seen of one probe. */
export interface ProbeEvidence {
  readonly source: ProbePod;
  readonly target: ProbedTarget;
  readonly opening: AgentOpening;
  /** How the application's end stands when everything was looked at. */
  readonly end: AgentState | undefined;
  /** Whether the node proxy of the source serves the pod. */
  readonly isSourceEnrolled: boolean;
  /** What the agent sees in the source; asked where the connection was over too soon to show whether it is captured. */
  readonly capture?: PodCapture;
  /** Whether the pods that may answer are in the mesh; undefined where that is unknown or differs. */
  readonly isTargetEnrolled: boolean | undefined;
  readonly sourceProxy: AskedProxy;
  readonly outbound?: DumpConnection;
  /** Why the source's proxy gave up, in its own words. */
  readonly sourceError?: string;
  readonly waypoint?: ProbePod & {
    readonly gateway: string;
    readonly why?: string;
    readonly tunnel?: WaypointTunnel;
    readonly error?: string;
  };
  readonly http?: AgentHttpAnswer & { readonly requestId: string };
  /** The pod that the connection reached. */
  readonly reached?: Pick<DumpWorkload, 'namespace' | 'name' | 'node'>;
  readonly targetProxy?: AskedProxy;
  readonly inbound?: DumpConnection;
  /** Why the target's proxy refused, in its own words. */
  readonly targetError?: string;
  readonly policy?: ProbePolicy;
}
