import { endpointChain, type Backend, type RoutingNode, type ServicePortRoute } from './service-port.js';

/** The packet mark that asks for masquerading; upstream's bit. */
const masqueradeMark = '0x4000';

/** Rules of one table, and the chains they live in. */
export interface Table {
  readonly name: 'nat' | 'filter';
  /** Chains of our own, in order; each is replaced as a whole. */
  readonly chains: readonly string[];
  /** Rules without `-A`: chain first. */
  readonly rules: readonly string[];
  /** Rules of built-in chains that lead into ours. */
  readonly jumps: readonly string[];
}

/** The rules that make services reachable from this node and its pods. */
export function renderTables(routes: readonly ServicePortRoute[], node: RoutingNode): readonly Table[] {
  return [natTable(routes, node), filterTable(routes)];
}

function natTable(routes: readonly ServicePortRoute[], node: RoutingNode): Table {
  const chains = ['KUBE-SERVICES', 'KUBE-NODEPORTS', 'KUBE-POSTROUTING', 'KUBE-MARK-MASQ'];
  const services: string[] = [];
  const nodePorts: string[] = [];
  const bodies: string[] = [];
  for (const route of routes) {
    if (route.backends.length === 0) continue;
    const internal = route.isInternalLocal ? route.localChain : route.chain;
    const usesLocal = route.isInternalLocal || route.isExternalLocal;
    const comment = `-m comment --comment "${route.label}`;
    const to = (ip: string): string =>
      `-d ${ip}/32 -p ${route.protocol} -m ${route.protocol} --dport ${route.port}`;
    const isExternal = route.nodePort !== undefined || route.externalIps.length > 0;
    if (!(route.isInternalLocal && route.localBackends.length === 0)) {
      services.push(`KUBE-SERVICES ${to(route.clusterIp)} ${comment} cluster IP" -j ${internal}`);
    }
    for (const ip of route.externalIps) {
      services.push(`KUBE-SERVICES ${to(ip)} ${comment} external IP" -j ${route.externalChain}`);
    }
    if (route.nodePort !== undefined) {
      nodePorts.push(
        `KUBE-NODEPORTS -p ${route.protocol} -m ${route.protocol} --dport ${route.nodePort} ${comment}" -j ${route.externalChain}`,
      );
    }
    chains.push(route.chain);
    bodies.push(...serviceChain({ route, chain: route.chain, backends: route.backends, node }));
    if (usesLocal && route.localBackends.length > 0) {
      chains.push(route.localChain);
      bodies.push(...serviceChain({ route, chain: route.localChain, backends: route.localBackends, node }));
    }
    if (isExternal) {
      chains.push(route.externalChain);
      bodies.push(...externalRules(route, node));
    }
    for (const backend of route.backends) {
      const chain = endpointChain(route, backend);
      chains.push(chain);
      bodies.push(...endpointRules({ route, chain, backend }));
    }
  }
  return {
    name: 'nat',
    chains,
    rules: [
      `KUBE-MARK-MASQ -j MARK --or-mark ${masqueradeMark}`,
      `KUBE-POSTROUTING -m mark ! --mark ${masqueradeMark}/${masqueradeMark} -j RETURN`,
      `KUBE-POSTROUTING -j MARK --xor-mark ${masqueradeMark}`,
      'KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
      ...services,
      // Last: an address of the node itself is only looked at when no service has it.
      'KUBE-SERVICES -m comment --comment "kubernetes service nodeports" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS',
      ...nodePorts,
      ...bodies,
    ],
    jumps: [
      'PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
      'OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
      'POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
    ],
  };
}

/** Spreads new connections evenly: each endpoint takes its share of what the ones before left. */
function serviceChain(o: {
  readonly route: ServicePortRoute;
  readonly chain: string;
  readonly backends: readonly Backend[];
  readonly node: RoutingNode;
}): string[] {
  const { route, chain, backends, node } = o;
  const lines: string[] = [];
  if (chain === route.chain) {
    lines.push(
      `${chain} ! -s ${node.podNetwork} -d ${route.clusterIp}/32 -p ${route.protocol} -m ${route.protocol} --dport ${route.port} -m comment --comment "${route.label} cluster IP" -j KUBE-MARK-MASQ`,
    );
  }
  if (route.affinitySeconds !== undefined) {
    for (const backend of backends) {
      const target = endpointChain(route, backend);
      lines.push(
        `${chain} -m comment --comment "${route.label} -> ${backend.ip}:${backend.port}" -m recent --name ${target} --rcheck --seconds ${route.affinitySeconds} --reap -j ${target}`,
      );
    }
  }
  for (const [index, backend] of backends.entries()) {
    const left = backends.length - index;
    const share = left === 1 ? '' : ` -m statistic --mode random --probability ${(1 / left).toFixed(10)}`;
    lines.push(
      `${chain} -m comment --comment "${route.label} -> ${backend.ip}:${backend.port}"${share} -j ${endpointChain(route, backend)}`,
    );
  }
  return lines;
}

function externalRules(route: ServicePortRoute, node: RoutingNode): string[] {
  const { externalChain: chain } = route;
  const comment = (text: string): string => `-m comment --comment "${text} for ${route.label}"`;
  if (!route.isExternalLocal) {
    return [`${chain} ${comment('masquerade traffic')} -j KUBE-MARK-MASQ`, `${chain} -j ${route.chain}`];
  }
  return [
    // Pods and the node itself are not "external": they may use every endpoint.
    `${chain} -s ${node.podNetwork} ${comment('pod traffic')} -j ${route.chain}`,
    `${chain} ${comment('masquerade LOCAL traffic')} -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ`,
    `${chain} ${comment('route LOCAL traffic')} -m addrtype --src-type LOCAL -j ${route.chain}`,
    ...(route.localBackends.length === 0 ? [] : [`${chain} -j ${route.localChain}`]),
  ];
}

function endpointRules(o: {
  readonly route: ServicePortRoute;
  readonly chain: string;
  readonly backend: Backend;
}): string[] {
  const { route, chain, backend } = o;
  const remember = route.affinitySeconds === undefined ? '' : ` -m recent --name ${chain} --set`;
  return [
    // A pod that reaches itself through a service would otherwise answer itself directly.
    `${chain} -s ${backend.ip}/32 -m comment --comment "${route.label}" -j KUBE-MARK-MASQ`,
    `${chain} -p ${route.protocol} -m comment --comment "${route.label}"${remember} -m ${route.protocol} -j DNAT --to-destination ${backend.ip}:${backend.port}`,
  ];
}

/** Refuses what has no endpoint, so that clients fail at once instead of waiting. */
function filterTable(routes: readonly ServicePortRoute[]): Table {
  const rules: string[] = [];
  for (const route of routes) {
    const at = `-p ${route.protocol} -m ${route.protocol}`;
    const has = `-m comment --comment "${route.label} has no`;
    if (route.backends.length === 0) {
      for (const ip of [route.clusterIp, ...route.externalIps]) {
        rules.push(`KUBE-SERVICES -d ${ip}/32 ${at} --dport ${route.port} ${has} endpoints" -j REJECT`);
      }
      if (route.nodePort !== undefined) {
        rules.push(
          `KUBE-SERVICES ${at} --dport ${route.nodePort} ${has} endpoints" -m addrtype --dst-type LOCAL -j REJECT`,
        );
      }
      continue;
    }
    if (route.localBackends.length > 0) continue;
    if (route.isInternalLocal) {
      rules.push(
        `KUBE-SERVICES -d ${route.clusterIp}/32 ${at} --dport ${route.port} ${has} local endpoints" -j DROP`,
      );
    }
    if (route.isExternalLocal) {
      for (const ip of route.externalIps) {
        rules.push(`KUBE-SERVICES -d ${ip}/32 ${at} --dport ${route.port} ${has} local endpoints" -j DROP`);
      }
      if (route.nodePort !== undefined) {
        rules.push(
          `KUBE-SERVICES ${at} --dport ${route.nodePort} ${has} local endpoints" -m addrtype --dst-type LOCAL -j DROP`,
        );
      }
    }
  }
  const into = (chain: string): string =>
    `${chain} -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES`;
  return {
    name: 'filter',
    chains: ['KUBE-SERVICES'],
    rules,
    jumps: [into('INPUT'), into('FORWARD'), into('OUTPUT')],
  };
}
