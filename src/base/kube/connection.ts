import { existsSync, readFileSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';
import { MeshError } from '../errors/mesh-error.js';
import { urlHost } from '../net/authority.js';

/** How to reach an API server and as whom. */
export interface ClusterConnection {
  /** Base URL, without a trailing slash. */
  readonly server: string;
  /** TLS options and headers for one request; called for each, so that credentials may rotate. */
  requestOptions(): Promise<RequestOptions>;
  /** The same as client-node's configuration, for exec, attach and port-forward. */
  toKubeConfig(): Promise<KubeConfig>;
}

export interface DirectConnectionOptions {
  readonly server: string;
  /** PEM. */
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly token?: string | undefined;
  /** Re-read for each request: projected tokens rotate. */
  readonly tokenFile?: string | undefined;
}

/** A connection from explicit credentials. */
export function directConnection(o: DirectConnectionOptions): ClusterConnection {
  const token = (): string | undefined =>
    o.tokenFile === undefined ? o.token : readFileSync(o.tokenFile, 'utf8').trim();
  return {
    server: o.server.replace(/\/+$/, ''),
    async requestOptions() {
      const bearer = token();
      return {
        ...(o.ca === undefined ? {} : { ca: o.ca }),
        ...(o.cert === undefined ? {} : { cert: o.cert }),
        ...(o.key === undefined ? {} : { key: o.key }),
        headers: bearer === undefined ? {} : { authorization: `Bearer ${bearer}` },
      };
    },
    async toKubeConfig() {
      const { KubeConfig } = await import('@kubernetes/client-node');
      const config = new KubeConfig();
      const base64 = (text: string) => Buffer.from(text).toString('base64');
      const bearer = token();
      config.loadFromOptions({
        clusters: [{ name: 'c', server: o.server, ...(o.ca === undefined ? {} : { caData: base64(o.ca) }) }],
        users: [
          {
            name: 'u',
            ...(o.cert === undefined ? {} : { certData: base64(o.cert) }),
            ...(o.key === undefined ? {} : { keyData: base64(o.key) }),
            ...(bearer === undefined ? {} : { token: bearer }),
          },
        ],
        contexts: [{ name: 'x', cluster: 'c', user: 'u' }],
        currentContext: 'x',
      });
      return config;
    },
  };
}

const serviceAccountDir = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Whether this process runs in a pod that has a service account. */
export function isInCluster(env: Readonly<NodeJS.ProcessEnv>): boolean {
  return env['KUBERNETES_SERVICE_HOST'] !== undefined && existsSync(`${serviceAccountDir}/token`);
}

/**
 * The connection a pod has through its service account, and the namespace of the pod. Throws MESH0208 outside a
 * cluster.
 */
export function inClusterConnection(
  env: Readonly<NodeJS.ProcessEnv>,
): ClusterConnection & { readonly namespace: string } {
  const host = env['KUBERNETES_SERVICE_HOST'];
  const port = env['KUBERNETES_SERVICE_PORT'] ?? '443';
  if (host === undefined) {
    throw new MeshError('MESH0208', 'this process does not run in a cluster', {
      evidence: 'KUBERNETES_SERVICE_HOST is not set',
    });
  }
  const connection = directConnection({
    server: `https://${urlHost(host)}:${port}`,
    ca: readFileSync(`${serviceAccountDir}/ca.crt`, 'utf8'),
    tokenFile: `${serviceAccountDir}/token`,
  });
  const namespaceFile = `${serviceAccountDir}/namespace`;
  const namespace = existsSync(namespaceFile) ? readFileSync(namespaceFile, 'utf8').trim() : 'default';
  return { ...connection, namespace };
}
