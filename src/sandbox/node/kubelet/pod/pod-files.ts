import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../../host/make-folder.js';
import type { NodeHost } from '../../host/node-host.js';
import type { Pod } from '../../model/pod.js';
import type { ContainerMount } from '../../runtime/container-config.js';

export interface ClusterDnsSettings {
  readonly nameserver: string;
  readonly domain: string;
}

const folder = '/run/kubelet/pods';

/** The host name a pod's containers see. */
export function podHostname(pod: Pod): string {
  const hostNameMaxChars = 63;
  return (pod.spec.hostname ?? pod.metadata.name).slice(0, hostNameMaxChars).replace(/[-.]+$/, '');
}

/** The content of a pod's /etc/resolv.conf (dnsPolicy and dnsConfig). */
export function resolvConf(pod: Pod, dns: ClusterDnsSettings): string {
  const { dnsPolicy = 'ClusterFirst', dnsConfig, hostNetwork = false } = pod.spec;
  const usesCluster =
    dnsPolicy === 'ClusterFirstWithHostNet' || (dnsPolicy === 'ClusterFirst' && !hostNetwork);
  const nameservers = new Set<string>(dnsConfig?.nameservers ?? []);
  const searches = new Set<string>();
  const options = new Map<string, string | undefined>();
  if (usesCluster) {
    nameservers.add(dns.nameserver);
    searches.add(`${pod.metadata.namespace}.svc.${dns.domain}`).add(`svc.${dns.domain}`).add(dns.domain);
    options.set('ndots', '5');
  } else if (dnsPolicy !== 'None') nameservers.add(dns.nameserver); // the node's own resolver is the cluster's
  for (const search of dnsConfig?.searches ?? []) searches.add(search);
  for (const { name, value } of dnsConfig?.options ?? []) options.set(name, value);
  const lines = [];
  if (searches.size > 0) lines.push(`search ${[...searches].join(' ')}`);
  for (const nameserver of nameservers) lines.push(`nameserver ${nameserver}`);
  if (options.size > 0)
    lines.push(`options ${[...options].map(([n, v]) => (v === undefined ? n : `${n}:${v}`)).join(' ')}`);
  return `${lines.join('\n')}\n`;
}

/** The content of a pod's /etc/hosts. */
export function hostsFile(pod: Pod, { ip, domain }: { ip: string; domain: string }): string {
  const hostname = podHostname(pod);
  const { subdomain } = pod.spec;
  const fqdn =
    subdomain === undefined || subdomain === ''
      ? ''
      : `${hostname}.${subdomain}.${pod.metadata.namespace}.svc.${domain}\t`;
  const lines = [
    '# Kubernetes-managed hosts file.',
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    `${ip}\t${fqdn}${hostname}`,
    ...(pod.spec.hostAliases ?? []).map((alias) => `${alias.ip}\t${(alias.hostnames ?? []).join('\t')}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** Writes the three files every container of a pod shares; returns their mounts. */
export async function writePodFiles(
  host: NodeHost,
  pod: Pod,
  o: { ip: string; hostname: string; dns: ClusterDnsSettings },
): Promise<ContainerMount[]> {
  const path = join(folder, pod.metadata.uid, 'etc');
  await makeFolder(host.path(path));
  const files = {
    'resolv.conf': resolvConf(pod, o.dns),
    hosts: hostsFile(pod, { ip: o.ip, domain: o.dns.domain }),
    hostname: `${o.hostname}\n`,
  };
  const mounts: ContainerMount[] = [];
  for (const [name, content] of Object.entries(files)) {
    await writeFile(host.path(join(path, name)), content);
    mounts.push({ source: join(path, name), target: `/etc/${name}`, isReadOnly: false });
  }
  return mounts;
}

export async function removePodFiles(host: NodeHost, podUid: string): Promise<void> {
  await rm(host.path(join(folder, podUid)), { recursive: true, force: true });
}
