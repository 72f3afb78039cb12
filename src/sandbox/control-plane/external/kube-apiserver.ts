import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '#base/telemetry/log.js';
import { frontProxyUser } from '../../apiserver/aggregation/front-proxy.js';
import type { ClusterPki } from '../../base/pki.js';
import { kubeletClientUser } from '../../base/api-server.js';
import { servingNames } from '../../base/api-server.js';
import { etcdUrl } from './etcd.js';
import { ChildProgram } from './program.js';

export interface KubeApiserverOptions {
  readonly file: string;
  /** Working folder, private: keys, log and etcd's socket are in it. */
  readonly folder: string;
  readonly pki: ClusterPki;
  /** Signs the certificate the server shows to aggregated API servers. */
  readonly frontProxyPki: ClusterPki;
  /** Where it listens; the port is free or reserved with SO_REUSEPORT by this user. */
  readonly bind: { readonly host: string; readonly port: number };
  readonly advertiseHost: string;
  readonly serviceCidr: string;
  readonly serviceIp: string;
  readonly clusterDomain: string;
  readonly issuer: string;
  readonly extraNames?: readonly string[] | undefined;
  readonly logger: Logger;
}

/** Writes the server's keys and makes the program; `start()` it when etcd runs. */
export async function makeKubeApiserver(o: KubeApiserverOptions): Promise<ChildProgram> {
  const file = (name: string, text: string): string => {
    writeFileSync(join(o.folder, name), text, { mode: 0o600 });
    return name;
  };
  const [serving, kubelet, frontProxy] = await Promise.all([
    o.pki.issueServer(
      servingNames({
        clusterDomain: o.clusterDomain,
        serviceIp: o.serviceIp,
        advertiseHost: o.advertiseHost,
        extraNames: o.extraNames,
      }),
    ),
    o.pki.issueClient(kubeletClientUser, []),
    o.frontProxyPki.issueClient(frontProxyUser, []),
  ]);
  const ca = file('ca.crt', o.pki.caPem);
  return new ChildProgram({
    name: 'kube-apiserver',
    file: o.file,
    args: [
      `--etcd-servers=${etcdUrl}`,
      `--bind-address=${o.bind.host}`,
      `--secure-port=${o.bind.port}`,
      '--permit-port-sharing=true',
      `--advertise-address=${o.advertiseHost}`,
      `--service-cluster-ip-range=${o.serviceCidr}`,
      '--allow-privileged=true',
      '--authorization-mode=Node,RBAC',
      '--enable-admission-plugins=NodeRestriction',
      `--client-ca-file=${ca}`,
      `--tls-cert-file=${file('apiserver.crt', serving.certPem)}`,
      `--tls-private-key-file=${file('apiserver.key', serving.keyPem)}`,
      `--service-account-issuer=${o.issuer}`,
      `--service-account-key-file=${file('sa.pub', o.pki.tokenPublicKeyPem)}`,
      `--service-account-signing-key-file=${file('sa.key', o.pki.tokenKeyPem)}`,
      `--kubelet-client-certificate=${file('kubelet-client.crt', kubelet.certPem)}`,
      `--kubelet-client-key=${file('kubelet-client.key', kubelet.keyPem)}`,
      `--kubelet-certificate-authority=${ca}`,
      '--kubelet-preferred-address-types=InternalIP',
      `--requestheader-client-ca-file=${file('front-proxy-ca.crt', o.frontProxyPki.caPem)}`,
      `--requestheader-allowed-names=${frontProxyUser}`,
      '--requestheader-username-headers=X-Remote-User',
      '--requestheader-group-headers=X-Remote-Group',
      '--requestheader-extra-headers-prefix=X-Remote-Extra-',
      `--proxy-client-cert-file=${file('front-proxy-client.crt', frontProxy.certPem)}`,
      `--proxy-client-key-file=${file('front-proxy-client.key', frontProxy.keyPem)}`,
      '--profiling=false',
    ],
    folder: o.folder,
    logPath: join(o.folder, 'kube-apiserver.log'),
    logger: o.logger,
  });
}
