import type { PodCertificate } from '../../identity/pod-certificate.js';
import type { MeshNames } from '../../rules/trust-domain.js';
import type { RefusedAttempts } from '../../telemetry/refused-attempts.js';
import type { TrafficMetrics } from '../../telemetry/traffic-metrics.js';
import type { ClientAffinity } from '../../view/client-affinity.js';
import type { MeshView } from '../../view/mesh-view.js';
import type { L4PolicyStore } from '../../policy/l4/l4-policy-store.js';
import type { KnownWorkload } from '../../view/known.js';
import type { ConnectionSet } from './connection-set.js';

/** Everything the proxy of one workload works with. */
export interface ProxyContext {
  readonly view: MeshView;
  readonly policies: L4PolicyStore;
  readonly certificate: PodCertificate;
  readonly traffic: TrafficMetrics;
  readonly refused: RefusedAttempts;
  /** The trust domains whose identities are this mesh's. */
  readonly names: MeshNames;
  readonly connections: ConnectionSet;
  /** fd of the workload's network namespace. */
  readonly netns: number;
  /** SO_MARK of every socket made for the workload; keeps its traffic from being captured again. */
  readonly mark: number;
  /** Whether applications are dialled from the client's own address. */
  readonly preservesSource: boolean;
  /** Hosts this workload is bound to. */
  readonly affinity: ClientAffinity;
  /** In [0, 1). */
  readonly random: () => number;
  /** The workload as the control plane knows it; undefined when it does not. */
  readonly workload: () => KnownWorkload | undefined;
  /** As `workload`, waiting a moment for a pod whose description is still on its way. */
  readonly workloadSoon: (signal: AbortSignal) => Promise<KnownWorkload | undefined>;
}
