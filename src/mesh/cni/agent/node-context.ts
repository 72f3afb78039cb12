import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '#base/telemetry/log.js';
import type { AgentConfig } from '../config.js';
import { NetnsHandle } from '../netns-handle.js';
import type { NetnsFinderOptions } from '../netns-finder.js';
import { HostProbes } from '../redirection/host-probes.js';
import { detectBackend, supportsIpv6 } from '../redirection/iptables.js';
import { ipv6StateIn } from '../redirection/netns-view.js';
import { PodRedirection } from '../redirection/pod-redirection.js';
import { ipsetWorks } from '../redirection/probe-set.js';

/** The node as this process can touch it. */
export interface NodeContext {
  readonly hostNetns: NetnsHandle;
  readonly redirection: PodRedirection;
  readonly hostProbes: HostProbes;
  readonly finder: NetnsFinderOptions;
}

const runDirMode = 0o750;

/** Opens the node's namespace and finds out what works there: iptables backend, IPv6, ipset. */
export async function openNode(config: AgentConfig, log: Logger, signal?: AbortSignal): Promise<NodeContext> {
  mkdirSync(config.runDir, { recursive: true, mode: runDirMode });
  // The kubelet makes missing hostPath folders 0755; the sockets in this one are for root's programs.
  chmodSync(config.runDir, runDirMode);
  const hostPath = config.switchToHostNetns ? join(config.procDir, '1', 'ns', 'net') : '/proc/self/ns/net';
  const hostNetns = NetnsHandle.open(hostPath);
  const backend = await detectBackend(hostNetns.fd, config.forcedBackend, signal);
  const target = {
    backend,
    netns: hostNetns.fd,
    lockFile: join(config.runDir, 'xtables-host.lock'),
  };
  const ipv6 = config.ipv6 && ipv6StateIn(hostNetns.fd) !== 'none' && (await supportsIpv6(target));
  if (config.ipv6 && !ipv6) log.warn('this node has no IPv6 NAT: only IPv4 is captured', { backend });
  const ipset = await ipsetWorks(hostNetns.fd);
  if (!ipset) {
    log.warn(
      'ipset is not available (Debian package ipset): probes use one iptables rule per pod address',
      {},
    );
  }
  log.info('node inspected', { iptables: backend, ipv6, ipset });
  return {
    hostNetns,
    redirection: new PodRedirection({ backend, ipv6, lockDir: config.runDir }),
    hostProbes: new HostProbes({ target, ipv6, probes: config.probes, ipset }),
    finder: { procDir: config.procDir, netnsDir: config.netnsDir, hostInode: hostNetns.inode },
  };
}
