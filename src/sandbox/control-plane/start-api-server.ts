import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '#base/telemetry/log.js';
import type { KubeletGateway } from '../base/kubelet-gateway.js';
import { startApiServer } from '../apiserver/server.js';
import type { ApiServer, Listener } from '../base/api-server.js';

export interface ApiServerStart {
  /** Folder with kube-apiserver and etcd; the embedded server runs when absent. */
  readonly assetsFolder?: string | undefined;
  /** For keys, objects and logs. */
  readonly dataFolder: string;
  /** Keys and objects are there again after a restart. */
  readonly isPersistent: boolean;
  readonly listeners: readonly Listener[];
  readonly advertise: { readonly host: string; readonly port: number };
  readonly extraNames: readonly string[];
  readonly serviceCidr: string;
  readonly clusterDomain: string;
  /** How the embedded server reaches containers; kube-apiserver calls the kubelets' own API. */
  readonly kubelet: KubeletGateway;
  readonly logger: Logger;
}

/** Starts the API server of a sandbox: the embedded one, or kube-apiserver with etcd. */
export async function startSandboxApiServer(o: ApiServerStart): Promise<ApiServer> {
  const { assetsFolder, dataFolder, isPersistent, kubelet, ...shared } = o;
  const pkiDirectory = join(dataFolder, 'pki');
  if (assetsFolder !== undefined) {
    // Loaded only here: few sandboxes have one.
    const { findAssets } = await import('./external/assets.js');
    const { startExternalApiServer } = await import('./external/external-api-server.js');
    const assets = await findAssets(assetsFolder);
    const folder = join(dataFolder, 'control-plane');
    return startExternalApiServer({ ...shared, assets, folder, pkiDirectory });
  }
  if (!isPersistent) return startApiServer({ ...shared, kubelet });
  await mkdir(dataFolder, { recursive: true, mode: 0o700 });
  return startApiServer({
    ...shared,
    kubelet,
    pkiDirectory,
    stateFile: join(dataFolder, 'objects.json'),
  });
}
