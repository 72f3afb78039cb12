import type { BuiltinImageTable } from '../node/image/builtin-images.js';
import type { IpFamilyName } from './network-plan.js';

/** What the launcher tells the supervisor, as JSON. */
export interface SupervisorConfig {
  readonly name: string;
  readonly folder: string;
  /** Port on the host's 127.0.0.1 that the inherited socket listens on. */
  readonly apiPort: number;
  readonly cniPluginDir: string;
  readonly nodeBinary: string;
  readonly version: string;
  /** The repository whose images are built in. */
  readonly hub: string;
  readonly images: BuiltinImageTable;
  /** The primary one first. */
  readonly ipFamilies: readonly IpFamilyName[];
  /** Objects and keys are kept on the disk, for the next `up`. */
  readonly isPersistent: boolean;
  /** Folder with kube-apiserver and etcd to run instead of the embedded API server. */
  readonly assetsFolder?: string | undefined;
}

/** Fds the supervisor inherits. */
export const apiListenerFd = 3;

export const clusterDomain = 'cluster.local';
/** Port of the API server on the sandbox's own network. */
export const apiPort = 6443;

export const nodesMax = 50;
