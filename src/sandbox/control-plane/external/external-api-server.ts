import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { formatHostPort } from '#base/net/authority.js';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import { KubeClient } from '#base/kube/client.js';
import { type ClusterConnection, directConnection } from '#base/kube/connection.js';
import { boundPort, closeFd, reserveTcpPort } from '#base/system/socket.js';
import type { Logger } from '#base/telemetry/log.js';
import { type CertificateAndKey, ClusterPki } from '../../base/pki.js';
import { ServiceAddresses } from '../../apiserver/kinds/service-addresses.js';
import { adminUser, type ApiServer, kubeconfigText, type Listener } from '../../base/api-server.js';
import type { ControlPlaneAssets } from './assets.js';
import { makeEtcd } from './etcd.js';
import { makeKubeApiserver } from './kube-apiserver.js';
import type { ChildProgram } from './program.js';
import { TcpForward } from './tcp-forward.js';

export interface ExternalApiServerOptions {
  readonly assets: ControlPlaneAssets;
  /** At least one. kube-apiserver listens at the first address; connections to the others are passed on to it. */
  readonly listeners: readonly Listener[];
  /** Address at which pods reach the server; not a loopback address. */
  readonly advertise: { readonly host: string };
  readonly extraNames?: readonly string[] | undefined;
  /** Default 10.96.0.0/16. */
  readonly serviceCidr?: string | undefined;
  readonly clusterDomain?: string | undefined;
  /** Keeps keys, data and logs; a private temporary folder, removed at the end, when absent. */
  readonly folder?: string | undefined;
  /** The cluster CA and the token signing key; in `folder` when absent. */
  readonly pkiDirectory?: string | undefined;
  readonly logger: Logger;
}

/** Long: who waits for the sandbox gives up earlier, unless he asked for more time on a slow machine. */
const readyTimeoutMs = 300_000;
const readyPollMs = 50;
/** kube-apiserver has no state to save, and would wait for its watches to end. */
const stopGraceMs = { server: 300, etcd: 2_000 } as const;

/**
 * Runs kube-apiserver and etcd and keeps them running. Resolves when the server is
 * ready; throws MESH0810 with the end of the log when it does not become so.
 */
export async function startExternalApiServer(o: ExternalApiServerOptions): Promise<ApiServer> {
  const folder = o.folder ?? mkdtempSync(join(tmpdir(), 'meshctl-control-plane-'));
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const domain = o.clusterDomain ?? 'cluster.local';
  const issuer = `https://kubernetes.default.svc.${domain}`;
  const serviceCidr = o.serviceCidr ?? '10.96.0.0/16';
  const [pki, frontProxyPki] = await Promise.all([
    ClusterPki.open(o.pkiDirectory ?? join(folder, 'pki')),
    ClusterPki.open(join(folder, 'front-proxy-pki')),
  ]);
  const admin = await pki.issueClient(adminUser.name, adminUser.groups);
  const binding = bindingOf(o.listeners);
  const etcd = makeEtcd({ file: o.assets.etcd, folder, logger: o.logger });
  const server = await makeKubeApiserver({
    file: o.assets.kubeApiserver,
    folder,
    pki,
    frontProxyPki,
    bind: binding,
    advertiseHost: o.advertise.host,
    serviceCidr,
    serviceIp: new ServiceAddresses(serviceCidr.split(',')[0] ?? '').first,
    clusterDomain: domain,
    issuer,
    extraNames: o.extraNames,
    logger: o.logger,
  });
  const forwards: TcpForward[] = [];
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await Promise.all(forwards.map((f) => f.close()));
    await server.stop(stopGraceMs.server);
    await etcd.stop(stopGraceMs.etcd);
    binding.release();
    if (o.folder === undefined) rmSync(folder, { recursive: true, force: true });
  };
  try {
    etcd.start();
    server.start();
    const connectionOf = ({ certPem, keyPem }: CertificateAndKey): ClusterConnection =>
      directConnection({
        server: `https://${formatHostPort(binding)}`,
        ca: pki.caPem,
        cert: certPem,
        key: keyPem,
      });
    const client = new KubeClient(connectionOf(admin));
    try {
      await untilReady(client, { server, etcd });
    } finally {
      client.close();
    }
    for (const program of [etcd, server]) program.keep();
    const ports: number[] = [];
    for (const listener of o.listeners) {
      if (listener === binding.listener) {
        ports.push(binding.port);
        continue;
      }
      const forward = await TcpForward.listen(listener, binding);
      forwards.push(forward);
      ports.push(forward.port);
    }
    o.logger.info('kube-apiserver is ready', { version: o.assets.version, ports: ports.join(',') });
    return {
      identity: { kind: 'external', version: o.assets.version },
      ports,
      caPem: pki.caPem,
      serviceAccountIssuer: issuer,
      tokenKeyPem: pki.tokenKeyPem,
      adminKubeconfig: (url, { name = 'sandbox' } = {}) =>
        kubeconfigText({ server: url, name, caPem: pki.caPem, user: admin }),
      issue: (user, groups) => pki.issueClient(user, groups),
      issueServing: (names) => pki.issueServer(names),
      trouble: () => etcd.trouble() ?? server.trouble(),
      // What it acknowledged is in etcd's files.
      isStateKept: () => true,
      sign: (request, terms) => pki.sign(request, terms),
      connect: async (user, groups) => connectionOf(await pki.issueClient(user, groups)),
      close: () => (closing ??= close()),
    };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Binding {
  readonly host: string;
  readonly port: number;
  /** The listener that kube-apiserver itself serves. */
  readonly listener: Listener | undefined;
  release(): void;
}

/** Where kube-apiserver listens; it cannot choose a free port, so one is held for it. */
function bindingOf(listeners: readonly Listener[]): Binding {
  const listener = listeners.find((l) => l.kind === 'address');
  const host = listener?.host ?? '127.0.0.1';
  if (listener !== undefined && listener.port !== 0) {
    return { host, port: listener.port, listener, release: () => undefined };
  }
  const held = reserveTcpPort(host);
  return { host, port: boundPort(held), listener, release: () => closeFd(held) };
}

async function untilReady(
  client: KubeClient,
  { server, etcd }: { readonly server: ChildProgram; readonly etcd: ChildProgram },
): Promise<void> {
  const deadline = Date.now() + readyTimeoutMs;
  let ended: { name: string; program: ChildProgram } | undefined;
  void etcd.ended.then(() => (ended ??= { name: 'etcd', program: etcd }));
  void server.ended.then(() => (ended ??= { name: 'kube-apiserver', program: server }));
  let last = '';
  for (;;) {
    if (ended !== undefined) {
      throw endedWhileStarting(ended.name, ended.program);
    }
    try {
      await client.request({ method: 'GET', path: '/readyz', timeoutMs: 2_000 });
      return;
    } catch (error) {
      last = messageOf(error);
    }
    if (Date.now() > deadline) {
      throw new MeshError('MESH0810', `kube-apiserver was not ready within ${readyTimeoutMs / 1000} s`, {
        evidence: `${last}\n${server.logTail()}`,
      });
    }
    await delay(readyPollMs);
  }
}

function endedWhileStarting(name: string, program: ChildProgram): MeshError {
  const words = program.lastWords();
  const evidence = program.logTail();
  if (program.isOutOfRoom())
    return new MeshError('MESH0814', `${name} cannot write its files: the disk is full`, { evidence: words });
  return new MeshError('MESH0810', `${name} ended while it was starting: ${words}`, {
    evidence,
    hint: `its whole log: ${program.logPath}`,
  });
}
