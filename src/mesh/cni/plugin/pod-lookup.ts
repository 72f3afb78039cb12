import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { EnrollmentSubject } from '../../rules/enrollment.js';
import { CniError, cniErrorCodes } from './cni-error.js';
import { exchange } from './small-http.js';

/** What the plugin needs to know about a pod to decide for itself. */
export interface LookedUpPod {
  readonly pod: EnrollmentSubject;
  readonly namespaceLabels: Readonly<Record<string, string>>;
}

interface Access {
  readonly server: URL;
  readonly ca: string | undefined;
  readonly token: string | undefined;
}

const requestTimeoutMs = 5_000;
const pauseMs = 1_000;

/**
 * Reads pod and namespace from the API server with the kubeconfig the agent left.
 * A pod that cannot be looked up is not let through: whether it belongs in the mesh
 * is unknown. Throws {@link CniError} 11 (try again later) after `attempts`.
 */
export async function lookUpPod(o: {
  readonly kubeconfigPath: string;
  readonly namespace: string;
  readonly name: string;
  readonly attempts: number;
}): Promise<LookedUpPod> {
  let failure = '';
  for (let attempt = 1; attempt <= o.attempts; attempt++) {
    if (attempt > 1) await delay(pauseMs);
    try {
      const access = readAccess(o.kubeconfigPath);
      const namespacePath = `/api/v1/namespaces/${encodeURIComponent(o.namespace)}`;
      const [pod, namespace] = await Promise.all([
        get(access, `${namespacePath}/pods/${encodeURIComponent(o.name)}`),
        get(access, namespacePath),
      ]);
      return {
        pod: pod as unknown as EnrollmentSubject,
        namespaceLabels:
          (namespace as { metadata?: { labels?: Record<string, string> } }).metadata?.labels ?? {},
      };
    } catch (error) {
      failure = error instanceof Error ? error.message : String(error);
    }
  }
  throw new CniError(
    cniErrorCodes.tryAgainLater,
    `cannot find out whether Pod ${o.namespace}/${o.name} belongs in the mesh`,
    failure,
  );
}

/** The kubeconfig is JSON, which is YAML too: no YAML parser has to be loaded for each pod. */
function readAccess(path: string): Access {
  const config = JSON.parse(readFileSync(path, 'utf8')) as {
    clusters?: { cluster?: { server?: string; 'certificate-authority-data'?: string } }[];
    users?: { user?: { token?: string } }[];
  };
  const cluster = config.clusters?.[0]?.cluster;
  if (cluster?.server === undefined) throw new Error(`${path} names no server`);
  const ca = cluster['certificate-authority-data'];
  return {
    server: new URL(cluster.server),
    ca: ca === undefined ? undefined : Buffer.from(ca, 'base64').toString('utf8'),
    token: config.users?.[0]?.user?.token,
  };
}

async function get(access: Access, path: string): Promise<Record<string, unknown>> {
  const { server, ca, token } = access;
  const isTls = server.protocol === 'https:';
  const answer = await exchange(
    {
      isTls,
      options: {
        host: server.hostname.replace(/^\[|\]$/g, ''),
        port: server.port === '' ? (isTls ? 443 : 80) : server.port,
        path,
        method: 'GET',
        headers: {
          accept: 'application/json',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        ...(ca === undefined ? {} : { ca }),
      },
    },
    { timeoutMs: requestTimeoutMs },
  );
  if (answer.status !== 200) {
    throw new Error(`GET ${path}: ${answer.status} ${answer.body.slice(0, 300)}`);
  }
  return JSON.parse(answer.body) as Record<string, unknown>;
}
