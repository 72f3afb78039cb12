import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { defaultSandboxName, type SandboxPaths } from '../supervisor/sandbox-paths.js';
import type { ContextEntry } from './kubeconfig-file.js';
import { runningSandbox } from './sandbox-status.js';

/** The sandbox's own kubeconfig, as text. Throws MESH0803. */
export async function sandboxKubeconfig(o: { name?: string | undefined } = {}): Promise<string> {
  const { paths } = runningSandbox(o.name ?? defaultSandboxName);
  return readFile(paths.kubeconfig, 'utf8');
}

/** The context of the sandbox, to be merged elsewhere. */
export async function readContextEntry(paths: SandboxPaths): Promise<ContextEntry> {
  // Written by the supervisor with renderKubeconfig: one cluster, one user.
  const config = parse(await readFile(paths.kubeconfig, 'utf8')) as {
    clusters: [{ cluster: { server: string; 'certificate-authority-data': string } }];
    users: [{ user: { 'client-certificate-data': string; 'client-key-data': string } }];
  };
  const text = (base64: string): string => Buffer.from(base64, 'base64').toString('utf8');
  const { cluster } = config.clusters[0];
  const { user } = config.users[0];
  return {
    name: `sandbox-${paths.name}`,
    server: cluster.server,
    ca: text(cluster['certificate-authority-data']),
    cert: text(user['client-certificate-data']),
    key: text(user['client-key-data']),
  };
}
