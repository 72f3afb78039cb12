import type { KubeClient } from '#base/kube/client.js';
import type { Pod } from '#base/kube/types.js';
import { capturePorts } from '../rules/capture-ports.js';
import { adminGet } from './component-pods.js';

/** What the CNI agent saw inside one pod's network namespace when asked. */
export interface PodCapture {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount?: string;
  readonly ips: readonly string[];
  readonly state: 'enabled' | 'pending' | 'none';
  /** What the agent itself decided; older agents do not tell. */
  readonly wanted?: { readonly enroll: boolean; readonly reason: string };
  readonly netnsInode: string | null;
  readonly rules: {
    readonly ok: boolean;
    readonly missing: readonly string[];
    /** Rules of others that come before the mesh's or defeat them; older agents do not tell. */
    readonly overriding?: readonly string[];
    /** Rules, chains and routes of the mesh that are there; older agents do not tell. */
    readonly presentCount?: number;
  };
  /** Port -> whether somebody listens on it in the pod's network namespace. */
  readonly listeners: Readonly<Record<string, boolean>>;
  readonly error?: string;
}

/** What the CNI agent of a node reports. */
export interface CaptureReport {
  readonly node: string;
  readonly ztunnel: { readonly connected: boolean; readonly connections: number };
  readonly hostRules: { readonly ok: boolean; readonly missing: readonly string[] };
  readonly pods: readonly PodCapture[];
  /** How far the clock of the node is ahead of this machine's, in milliseconds, to about a second. */
  readonly clockAheadMs?: number;
}

/** Asks a CNI agent's pod what it observes: of one pod, or of all enrolled pods on its node. */
export function fetchCaptureReport(
  client: KubeClient,
  agent: Pod,
  of?: { readonly namespace: string; readonly name: string },
): Promise<CaptureReport> {
  const query =
    of === undefined
      ? ''
      : `?namespace=${encodeURIComponent(of.namespace)}&pod=${encodeURIComponent(of.name)}`;
  return adminGet(client, agent, `/debug/enrollment${query}`, (text, date) => {
    const aheadMs = Date.parse(date ?? '') - Date.now();
    return {
      ...(JSON.parse(text) as CaptureReport),
      ...(Number.isNaN(aheadMs) ? {} : { clockAheadMs: aheadMs }),
    };
  });
}

/** Whether the redirection and every in-pod listener of the node proxy were seen. */
export function isCaptured(capture: PodCapture): boolean {
  return capture.rules.ok && capturePorts.every((port) => capture.listeners[port] === true);
}
