import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../../host/make-folder.js';
import type { NodeHost } from '../../host/node-host.js';
import { resolveInside } from '../../host/path-inside.js';
import type { KubeletPod } from '../../model/pod.js';
import type { ContainerMount } from '../../runtime/container-config.js';

export interface ClusterDnsSettings {
  readonly nameserver: string;
  readonly domain: string;
}

const folder = '/run/kubelet/pods';

const hostNameMaxChars = 63;
/** What Linux takes (sethostname): the full name may be longer than one DNS label. */
const kernelNameMaxChars = 64;

function shortHostname(pod: KubeletPod): string {
  return (pod.spec.hostname ?? pod.metadata.name).slice(0, hostNameMaxChars).replace(/[-.]+$/, '');
}

/** `hostname.subdomain.namespace.svc.domain`; undefined without a subdomain. */
function fullHostname(pod: KubeletPod, domain: string): string | undefined {
  const { subdomain } = pod.spec;
  if (subdomain === undefined || subdomain === '') return undefined;
  return `${shortHostname(pod)}.${subdomain}.${pod.metadata.namespace}.svc.${domain}`;
}

/** The host name a pod's containers see. Throws when setHostnameAsFQDN asks for more than Linux takes. */
export function podHostname(pod: KubeletPod, domain: string): string {
  if (pod.spec.setHostnameAsFQDN !== true) return shortHostname(pod);
  const full = fullHostname(pod, domain) ?? shortHostname(pod);
  if (full.length > kernelNameMaxChars)
    throw new Error(
      `Failed to construct FQDN from pod hostname and cluster domain, FQDN ${full} is too long (${kernelNameMaxChars} characters is the max, ${full.length} characters requested)`,
    );
  return full;
}

/** The content of a pod's /etc/resolv.conf (dnsPolicy and dnsConfig). */
export function resolvConf(pod: KubeletPod, dns: ClusterDnsSettings): string {
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

/** What resolvers know without asking, as kubelet writes it. */
const localNames = [
  '127.0.0.1\tlocalhost',
  '::1\tlocalhost ip6-localhost ip6-loopback',
  'fe00::0\tip6-localnet',
  'fe00::0\tip6-mcastprefix',
  'fe00::1\tip6-allnodes',
  'fe00::2\tip6-allrouters',
];

/** The content of a pod's /etc/hosts: its own, or in the node's network the node's (`nodeHosts`), and its aliases. */
export function hostsFile(
  pod: KubeletPod,
  { ips, domain, nodeHosts }: { ips: readonly string[]; domain: string; nodeHosts: string },
): string {
  const own = [fullHostname(pod, domain), shortHostname(pod)].filter((name) => name !== undefined);
  const isHostNetwork = pod.spec.hostNetwork === true;
  const aliases = (pod.spec.hostAliases ?? []).map(
    (alias) => `${alias.ip}\t${(alias.hostnames ?? []).join('\t')}`,
  );
  const lines = [
    `# Kubernetes-managed hosts file${isHostNetwork ? ' (host network)' : ''}.`,
    ...(isHostNetwork
      ? [nodeHosts.replace(/\n$/, '')]
      : [...localNames, ...ips.map((ip) => `${ip}\t${own.join('\t')}`)]),
    ...(aliases.length === 0 ? [] : ['', '# Entries added by HostAliases.', ...aliases]),
  ];
  return `${lines.join('\n')}\n`;
}

/** Writes the three files every container of a pod shares; returns their mounts. */
export async function writePodFiles(
  host: NodeHost,
  pod: KubeletPod,
  o: { ips: readonly string[]; hostname: string; dns: ClusterDnsSettings },
): Promise<ContainerMount[]> {
  const path = join(folder, pod.metadata.uid, 'etc');
  await makeFolder(host.path(path));
  const nodeHosts = pod.spec.hostNetwork === true ? await nodeHostsFile(host) : '';
  const files = {
    'resolv.conf': resolvConf(pod, o.dns),
    hosts: hostsFile(pod, { ips: o.ips, domain: o.dns.domain, nodeHosts }),
    hostname: `${o.hostname}\n`,
  };
  const mounts: ContainerMount[] = [];
  for (const [name, content] of Object.entries(files)) {
    await writeFile(host.path(join(path, name)), content);
    mounts.push({ source: join(path, name), target: `/etc/${name}`, isReadOnly: false });
  }
  return mounts;
}

/** The node's own /etc/hosts, to which pods may have added; empty when somebody has removed it. */
async function nodeHostsFile(host: NodeHost): Promise<string> {
  const root = host.path('/');
  return readFile(join(root, await resolveInside(root, '/etc/hosts')), 'utf8').catch(() => '');
}
