import { formatHostPort } from '#base/net/authority.js';
import type { ChainTable } from '../netfilter/chain-table.js';
import type { IpFamily } from '#base/net/address.js';
import { hostPrefix } from '../netfilter/family.js';
import { hairpinMark } from '../netfilter/hairpin.js';
import type { Backend } from './backends.js';
import { endpointChain, type ServiceRoute } from './service-route.js';

/** Only chains with this prefix are the services'. */
export const serviceChainPrefix = 'KUBE-';
/** The packet mark that asks for masquerading; upstream's bit. */
const masqueradeMark = '0x4000';

/** How rules of a family are written. */
export interface RuleContext {
  readonly family: IpFamily;
  /** Addresses pods use; traffic from elsewhere to a cluster IP is masqueraded. */
  readonly podNetwork: string;
}

/** The rules that make services reachable from this node and its pods, in the chains kube-proxy has. */
export function serviceTables(routes: readonly ServiceRoute[], context: RuleContext): readonly ChainTable[] {
  return [natTable(routes, context), filterTable(routes, context)];
}

function natTable(routes: readonly ServiceRoute[], context: RuleContext): ChainTable {
  const services: string[] = [];
  const nodePorts: string[] = [];
  const chains = new Map<string, readonly string[]>([
    ['KUBE-SERVICES', services],
    ['KUBE-NODEPORTS', nodePorts],
    [
      'KUBE-POSTROUTING',
      [
        `-m mark ! --mark ${masqueradeMark}/${masqueradeMark} -j RETURN`,
        `-j MARK --xor-mark ${masqueradeMark}`,
        '-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
      ],
    ],
    ['KUBE-MARK-MASQ', [`-j MARK --or-mark ${masqueradeMark}`]],
    ['KUBE-MARK-HAIRPIN', [`-j MARK --or-mark ${masqueradeMark}`, `-j CONNMARK --or-mark ${hairpinMark}`]],
  ]);
  for (const route of routes) {
    if (route.backends.length === 0 && route.localBackends.length === 0) continue;
    const internal = route.isInternalLocal ? route.localChain : route.chain;
    const comment = `-m comment --comment "${route.label}`;
    if (!(route.isInternalLocal && route.localBackends.length === 0))
      services.push(`${to(route, route.clusterIp, context)} ${comment} cluster IP" -j ${internal}`);
    for (const ip of route.externalIps)
      services.push(`${to(route, ip, context)} ${comment} external IP" -j ${route.externalChain}`);
    const balanced = route.sourceRanges === undefined ? route.externalChain : route.firewallChain;
    for (const ip of route.loadBalancerIps)
      services.push(`${to(route, ip, context)} ${comment} loadbalancer IP" -j ${balanced}`);
    if (route.nodePort !== undefined)
      nodePorts.push(`${ofPort(route, route.nodePort)} ${comment}" -j ${route.externalChain}`);

    chains.set(route.chain, balance(route, route.backends, [masqueradeForeign(route, context)]));
    const usedLocally = route.isInternalLocal || route.isExternalLocal ? route.localBackends : [];
    if (usedLocally.length > 0) {
      const masquerade = route.isInternalLocal ? [masqueradeForeign(route, context)] : [];
      chains.set(route.localChain, balance(route, usedLocally, masquerade));
    }
    if (route.nodePort !== undefined || route.externalIps.length + route.loadBalancerIps.length > 0)
      chains.set(route.externalChain, external(route, context));
    if (route.sourceRanges !== undefined && route.loadBalancerIps.length > 0)
      chains.set(
        route.firewallChain,
        route.sourceRanges.map(
          (range) => `-s ${range} ${comment} loadbalancer IP" -j ${route.externalChain}`,
        ),
      );
    for (const backend of [...route.backends, ...usedLocally])
      chains.set(endpointChain(route, backend), endpoint(route, backend, context));
  }
  // Last: an address of the node itself is only looked at when no service has it.
  services.push(
    '-m comment --comment "kubernetes service nodeports" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS',
  );
  const portals = '-m comment --comment "kubernetes service portals"';
  return {
    name: 'nat',
    chains,
    jumps: [
      { from: 'PREROUTING', match: portals, to: 'KUBE-SERVICES' },
      { from: 'OUTPUT', match: portals, to: 'KUBE-SERVICES' },
      {
        from: 'POSTROUTING',
        match: '-m comment --comment "kubernetes postrouting rules"',
        to: 'KUBE-POSTROUTING',
      },
    ],
  };
}

function ofPort(route: ServiceRoute, port: number): string {
  return `-p ${route.protocol} -m ${route.protocol} --dport ${port}`;
}

function to(route: ServiceRoute, ip: string, { family }: RuleContext): string {
  return `-d ${ip}/${hostPrefix(family)} ${ofPort(route, route.port)}`;
}

/** Whoever is no pod would get answers from an address it did not ask. */
function masqueradeForeign(route: ServiceRoute, context: RuleContext): string {
  const comment = `-m comment --comment "${route.label} cluster IP"`;
  return `! -s ${context.podNetwork} ${to(route, route.clusterIp, context)} ${comment} -j KUBE-MARK-MASQ`;
}

/** Spreads new connections evenly: each endpoint takes its share of what the ones before left. */
function balance(route: ServiceRoute, backends: readonly Backend[], first: readonly string[]): string[] {
  const lines = [...first];
  const comment = (backend: Backend): string =>
    `-m comment --comment "${route.label} -> ${formatHostPort({ host: backend.ip, port: backend.port })}"`;
  if (route.affinitySeconds !== undefined) {
    for (const backend of backends) {
      const target = endpointChain(route, backend);
      const recent = `-m recent --name ${target} --rcheck --seconds ${route.affinitySeconds} --reap`;
      lines.push(`${comment(backend)} ${recent} -j ${target}`);
    }
  }
  for (const [index, backend] of backends.entries()) {
    const left = backends.length - index;
    const share = left === 1 ? '' : ` -m statistic --mode random --probability ${(1 / left).toFixed(10)}`;
    lines.push(`${comment(backend)}${share} -j ${endpointChain(route, backend)}`);
  }
  return lines;
}

function external(route: ServiceRoute, context: RuleContext): string[] {
  const comment = (text: string): string => `-m comment --comment "${text} for ${route.label}"`;
  if (!route.isExternalLocal)
    return [`${comment('masquerade traffic')} -j KUBE-MARK-MASQ`, `-j ${route.chain}`];
  return [
    // Pods and the node itself are not "external": they may use every endpoint.
    `-s ${context.podNetwork} ${comment('pod traffic')} -j ${route.chain}`,
    `${comment('masquerade LOCAL traffic')} -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ`,
    `${comment('route LOCAL traffic')} -m addrtype --src-type LOCAL -j ${route.chain}`,
    ...(route.localBackends.length === 0 ? [] : [`-j ${route.localChain}`]),
  ];
}

function endpoint(route: ServiceRoute, backend: Backend, { family }: RuleContext): string[] {
  const comment = `-m comment --comment "${route.label}"`;
  const remember =
    route.affinitySeconds === undefined ? '' : ` -m recent --name ${endpointChain(route, backend)} --set`;
  return [
    // A pod that reaches itself through a service would otherwise answer itself directly.
    `-s ${backend.ip}/${hostPrefix(family)} ${comment} -j KUBE-MARK-HAIRPIN`,
    `-p ${route.protocol} ${comment}${remember} -m ${route.protocol} -j DNAT --to-destination ${formatHostPort({ host: backend.ip, port: backend.port })}`,
  ];
}

/**
 * An ICMPv6 error comes back while the caller's connect() still holds the socket, and the
 * kernel then waits for the next one, a second later; a reset is not lost.
 */
function reject(route: ServiceRoute, { family }: RuleContext): string {
  return family === 'IPv6' && route.protocol === 'tcp' ? 'REJECT --reject-with tcp-reset' : 'REJECT';
}

/** Refuses what has no endpoint, so that clients fail at once instead of waiting. */
function filterTable(routes: readonly ServiceRoute[], context: RuleContext): ChainTable {
  const refusals: string[] = [];
  const firewall: string[] = [];
  for (const route of routes) {
    const outside = [...route.externalIps, ...route.loadBalancerIps];
    const refuse = (ips: readonly string[], what: string, verdict: string): void => {
      const comment = `-m comment --comment "${route.label} has no ${what}"`;
      for (const ip of ips) refusals.push(`${to(route, ip, context)} ${comment} -j ${verdict}`);
    };
    const refuseNodePort = (what: string, verdict: string): void => {
      if (route.nodePort === undefined) return;
      const comment = `-m comment --comment "${route.label} has no ${what}"`;
      refusals.push(`${ofPort(route, route.nodePort)} ${comment} -m addrtype --dst-type LOCAL -j ${verdict}`);
    };
    if (route.backends.length === 0 && route.localBackends.length === 0) {
      refuse([route.clusterIp, ...outside], 'endpoints', reject(route, context));
      refuseNodePort('endpoints', reject(route, context));
      continue;
    }
    if (route.localBackends.length === 0) {
      // Not refused: a load balancer then tries another node.
      if (route.isInternalLocal) refuse([route.clusterIp], 'local endpoints', 'DROP');
      if (route.isExternalLocal) {
        refuse(outside, 'local endpoints', 'DROP');
        refuseNodePort('local endpoints', 'DROP');
      }
    }
    if (route.sourceRanges === undefined) continue;
    // Whoever may use them was sent on to an endpoint before: these still carry the first address.
    for (const ip of route.loadBalancerIps)
      firewall.push(
        `${to(route, ip, context)} -m comment --comment "${route.label} traffic not accepted by ${route.firewallChain}" -j DROP`,
      );
  }
  const isNew = '-m conntrack --ctstate NEW -m comment --comment';
  const hooks = ['INPUT', 'FORWARD', 'OUTPUT'];
  return {
    name: 'filter',
    chains: new Map([
      ['KUBE-SERVICES', refusals],
      ['KUBE-PROXY-FIREWALL', firewall],
    ]),
    jumps: hooks.flatMap((from) => [
      { from, match: `${isNew} "kubernetes service portals"`, to: 'KUBE-SERVICES' },
      { from, match: `${isNew} "kubernetes load balancer firewall"`, to: 'KUBE-PROXY-FIREWALL' },
    ]),
  };
}
