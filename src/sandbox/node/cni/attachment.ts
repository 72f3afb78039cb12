import type { CapabilityArgs } from './capabilities.js';

/** The pod attachment a plugin is called for. */
export interface CniAttachment {
  /** Id of the pod sandbox. */
  readonly containerId: string;
  /** Path of the pod's network namespace, on the node. */
  readonly netns: string;
  readonly podNamespace: string;
  readonly podName: string;
  readonly podUid: string;
  readonly capabilityArgs?: CapabilityArgs;
}

/** The result of ADD, as far as a kubelet reads it. */
export interface CniResult {
  readonly cniVersion?: string;
  readonly ips?: readonly { readonly address: string; readonly gateway?: string }[];
  readonly [key: string]: unknown;
}
