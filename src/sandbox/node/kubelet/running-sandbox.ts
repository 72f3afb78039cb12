import type { PodNamespaces } from '../host/pod-namespaces.js';
import type { PauseProcess } from '../runtime/pause-process.js';

/** What a pod's containers share: namespaces and addresses. */
export interface PodSandbox {
  readonly id: string;
  readonly namespaces: PodNamespaces;
  /** Pid 1 of the namespace all containers are in (shareProcessNamespace); absent otherwise. */
  readonly pause: PauseProcess | undefined;
  readonly ips: readonly string[];
}
