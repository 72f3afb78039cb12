import type { Pkcs10CertificateRequest } from '@peculiar/x509';
import { stringify } from 'yaml';
import type { ClusterConnection } from '#base/kube/connection.js';
import type { CertificateAndKey, SigningTerms } from './pki.js';

/** Where to accept connections. */
export type Listener =
  /** A bound and listening (or only bound) TCP socket handed to this process. */
  | { readonly kind: 'fd'; readonly fd: number }
  /** Bound in the current network namespace; the host must be an IP address. */
  | { readonly kind: 'address'; readonly host: string; readonly port: number };

/** The server behind the cluster's API: what runs it, and which Kubernetes it is. */
export interface ApiServerIdentity {
  /** `embedded`: part of this program. `external`: kube-apiserver and etcd as processes. */
  readonly kind: 'embedded' | 'external';
  /** As /version says: `v1.32.13`. */
  readonly version: string;
}

/** A running API server, whichever program it is. */
export interface ApiServer {
  readonly identity: ApiServerIdentity;
  /** The bound ports, in the order of the listeners. */
  readonly ports: readonly number[];
  readonly caPem: string;
  readonly serviceAccountIssuer: string;
  /** Signs service account tokens (ES256, PKCS #8). */
  readonly tokenKeyPem: string;
  /** A kubeconfig (YAML) with cluster-admin rights; `server` such as https://127.0.0.1:6443. */
  adminKubeconfig(server: string, options?: { readonly name?: string }): string;
  /** A client certificate for a component, valid for a year. */
  issue(user: string, groups: readonly string[]): Promise<CertificateAndKey>;
  /** A serving certificate of the cluster's CA for host names and IP addresses, valid for a year. */
  issueServing(names: readonly string[]): Promise<CertificateAndKey>;
  /** Signs somebody else's certificate request with the cluster's CA (PEM out). */
  sign(request: Pkcs10CertificateRequest, terms: SigningTerms): Promise<string>;
  /** A connection for a part of this process that acts as a user. */
  connect(user: string, groups: readonly string[]): Promise<ClusterConnection>;
  /** Why it does not serve now, as far as is known; undefined when nothing is. */
  trouble(): string | undefined;
  /** False while what it has acknowledged would be lost if it stopped now. */
  isStateKept(): boolean;
  /** Ends watches and streams, writes the state, and stops. Idempotent. */
  close(): Promise<void>;
}

/** User and group of the admin kubeconfig. */
export const adminUser = { name: 'kubernetes-admin', groups: ['system:masters'] } as const;

/** User that API servers are toward kubelets: the common name of their client certificate. */
export const kubeletClientUser = 'kube-apiserver-kubelet-client';

/** A kubeconfig with one context, its certificates inline. */
export function kubeconfigText(o: {
  readonly server: string;
  readonly name: string;
  readonly caPem: string;
  readonly user: CertificateAndKey;
}): string {
  const { server, name, caPem, user } = o;
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': name,
    clusters: [{ name, cluster: { server, 'certificate-authority-data': base64(caPem) } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    users: [
      {
        name,
        user: { 'client-certificate-data': base64(user.certPem), 'client-key-data': base64(user.keyPem) },
      },
    ],
  });
}

/** Names and addresses a client may reach the API server by, for its serving certificate. */
export function servingNames(o: {
  readonly clusterDomain: string;
  readonly serviceIp: string;
  readonly advertiseHost: string;
  readonly extraNames?: readonly string[] | undefined;
}): string[] {
  return [
    ...new Set([
      'kubernetes',
      'kubernetes.default',
      'kubernetes.default.svc',
      `kubernetes.default.svc.${o.clusterDomain}`,
      'localhost',
      '127.0.0.1',
      '::1',
      o.serviceIp,
      o.advertiseHost,
      ...(o.extraNames ?? []),
    ]),
  ];
}
