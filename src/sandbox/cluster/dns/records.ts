import { bytesToIp, familyOf, ipFamilyOf, unmapIp } from '#base/net/address.js';
import type { EndpointSlice, Namespace, Service } from '#base/kube/types.js';

/** A record of the cluster zone, without its name. */
export type RecordData =
  | { readonly type: 'A' | 'AAAA'; readonly data: string }
  | { readonly type: 'CNAME'; readonly data: string }
  | { readonly type: 'PTR'; readonly data: string }
  | { readonly type: 'TXT'; readonly data: string }
  | { readonly type: 'NS'; readonly data: string }
  | {
      readonly type: 'SRV';
      readonly data: {
        readonly priority: number;
        readonly weight: number;
        readonly port: number;
        readonly target: string;
      };
    };

/** What the zone says about a name: its records of every type, or that nothing has that name. */
export type Lookup =
  | { readonly isKnown: true; readonly records: readonly RecordData[] }
  | { readonly isKnown: false };

/** The cluster's objects as the zone needs them. */
export interface ZoneSource {
  service(namespace: string, name: string): Service | undefined;
  services(): readonly Service[];
  /** Slices of one service. */
  slices(namespace: string, service: string): readonly EndpointSlice[];
  namespace(name: string): Namespace | undefined;
}

/** Version of the schema the names follow (Kubernetes DNS-Based Service Discovery). */
const schemaVersion = '1.1.0';

/** Looks `name` (lower case, without trailing dot) up below `domain`, following Kubernetes' DNS specification. */
export function lookupInCluster(name: string, domain: string, source: ZoneSource): Lookup {
  if (name === domain) return known([{ type: 'NS', data: `ns.dns.${domain}` }]);
  if (!name.endsWith(`.${domain}`)) return { isKnown: false };
  const labels = name.slice(0, -(domain.length + 1)).split('.');
  if (labels.length === 1 && labels[0] === 'dns-version')
    return known([{ type: 'TXT', data: schemaVersion }]);
  const kind = labels.pop();
  const namespace = labels.pop();
  if (kind !== 'svc' && kind !== 'pod') return { isKnown: false };
  if (namespace === undefined) return known([]);
  if (source.namespace(namespace) === undefined) return { isKnown: false };
  if (labels.length === 0) return known([]);
  return kind === 'pod' ? podRecords(labels) : serviceRecords({ labels, namespace, domain, source });
}

/** `10-244-1-7.ns.pod.domain` is 10.244.1.7, whether or not a pod has it (as the usual "pods insecure" mode). */
function podRecords(labels: readonly string[]): Lookup {
  const [label] = labels;
  if (labels.length !== 1 || label === undefined) return { isKnown: false };
  const v4 = label.replaceAll('-', '.');
  if (ipFamilyOf(v4) === 'IPv4') return known([{ type: 'A', data: v4 }]);
  const v6 = label.replaceAll('-', ':');
  if (ipFamilyOf(v6) === 'IPv6') return known([{ type: 'AAAA', data: v6 }]);
  return { isKnown: false };
}

function serviceRecords(o: {
  readonly labels: readonly string[];
  readonly namespace: string;
  readonly domain: string;
  readonly source: ZoneSource;
}): Lookup {
  const { namespace, domain, source } = o;
  const name = o.labels.at(-1) ?? '';
  const prefix = o.labels.slice(0, -1);
  const service = source.service(namespace, name);
  if (service === undefined) return { isKnown: false };
  const base = `${name}.${namespace}.svc.${domain}`;
  if (service.spec.type === 'ExternalName') {
    if (prefix.length > 0) return { isKnown: false };
    return known([{ type: 'CNAME', data: trimDot(service.spec.externalName ?? '') }]);
  }
  const isHeadless = service.spec.clusterIP === 'None';
  // A service with an address of its own has records for single endpoints too.
  const hosts = isHeadless || prefix.length === 1 ? endpointHosts(source.slices(namespace, name)) : [];
  if (prefix.length === 0) {
    const addresses = isHeadless ? hosts.map((host) => host.ip) : clusterIps(service);
    // A headless service without endpoints does not exist for DNS, as in CoreDNS.
    return addresses.length === 0 && isHeadless ? { isKnown: false } : known(addresses.map(addressRecord));
  }
  const [first = '', second] = prefix;
  if (prefix.length === 2 && first.startsWith('_') && second !== undefined && second.startsWith('_')) {
    return srvRecords({ service, base, hosts, port: first.slice(1), protocol: second.slice(1) });
  }
  if (prefix.length !== 1) return { isKnown: false };
  if (/^_(tcp|udp|sctp)$/.test(first)) return known([]);
  const matching = hosts.filter((host) => host.label === first);
  return matching.length === 0 ? { isKnown: false } : known(matching.map((host) => addressRecord(host.ip)));
}

interface Host {
  readonly ip: string;
  /** The endpoint's hostname, or its address with dashes. */
  readonly label: string;
  readonly ports: readonly { readonly name: string; readonly protocol: string; readonly port: number }[];
}

/** Ready endpoints of a service (not ready ones are published as ready when the service asks for it). */
function endpointHosts(slices: readonly EndpointSlice[]): Host[] {
  const hosts = new Map<string, Host>();
  for (const slice of slices) {
    const ports = (slice.ports ?? []).flatMap((port) =>
      port.port === undefined
        ? []
        : [{ name: port.name ?? '', protocol: (port.protocol ?? 'TCP').toLowerCase(), port: port.port }],
    );
    for (const endpoint of slice.endpoints ?? []) {
      if (endpoint.conditions?.ready === false) continue;
      for (const ip of endpoint.addresses) {
        const old = hosts.get(ip);
        hosts.set(ip, {
          ip,
          label: (endpoint.hostname ?? ip.replaceAll(/[.:]/g, '-')).toLowerCase(),
          ports: [...(old?.ports ?? []), ...ports],
        });
      }
    }
  }
  return [...hosts.values()];
}

function srvRecords(o: {
  readonly service: Service;
  readonly base: string;
  readonly hosts: readonly Host[];
  readonly port: string;
  readonly protocol: string;
}): Lookup {
  const { service, base } = o;
  const srv = (port: number, target: string): RecordData => ({
    type: 'SRV',
    data: { priority: 0, weight: 100, port, target },
  });
  const records =
    service.spec.clusterIP === 'None'
      ? o.hosts.flatMap((host) =>
          host.ports
            .filter((port) => port.name === o.port && port.protocol === o.protocol)
            .map((port) => srv(port.port, `${host.label}.${base}`)),
        )
      : (service.spec.ports ?? [])
          .filter((port) => port.name === o.port && (port.protocol ?? 'TCP').toLowerCase() === o.protocol)
          .map((port) => srv(port.port, base));
  return records.length === 0 ? { isKnown: false } : known(records);
}

/** The name of a service or of a named endpoint for a reverse query (`4.3.2.1.in-addr.arpa`). */
export function lookupReverse(name: string, domain: string, source: ZoneSource): Lookup {
  const ip = addressOfReverse(name);
  if (ip === undefined) return { isKnown: false };
  const names: RecordData[] = [];
  for (const service of source.services()) {
    const base = `${service.metadata.name}.${service.metadata.namespace ?? ''}.svc.${domain}`;
    if (clusterIps(service).includes(ip)) return known([{ type: 'PTR', data: base }]);
    if (service.spec.clusterIP !== 'None') continue;
    for (const host of endpointHosts(
      source.slices(service.metadata.namespace ?? '', service.metadata.name),
    )) {
      if (host.ip === ip) names.push({ type: 'PTR', data: `${host.label}.${base}` });
    }
  }
  return names.length === 0 ? { isKnown: false } : known(names);
}

/** The address a reverse name stands for, in its canonical form. */
export function addressOfReverse(name: string): string | undefined {
  const v4Suffix = '.in-addr.arpa';
  if (name.endsWith(v4Suffix)) {
    const ip = name.slice(0, -v4Suffix.length).split('.').toReversed().join('.');
    return ipFamilyOf(ip) === 'IPv4' ? ip : undefined;
  }
  const v6Suffix = '.ip6.arpa';
  if (!name.endsWith(v6Suffix)) return undefined;
  const nibbles = name.slice(0, -v6Suffix.length).split('.').toReversed();
  const v6Nibbles = 32;
  if (nibbles.length !== v6Nibbles || !nibbles.every((nibble) => /^[0-9a-f]$/.test(nibble))) return undefined;
  return unmapIp(bytesToIp(Buffer.from(nibbles.join(''), 'hex')) ?? '');
}

function clusterIps(service: Service): string[] {
  const all = service.spec.clusterIPs ?? [service.spec.clusterIP ?? ''];
  return all.filter((ip) => ip !== '' && ip !== 'None');
}

function addressRecord(ip: string): RecordData {
  return { type: familyOf(ip) === 'IPv6' ? 'AAAA' : 'A', data: ip };
}

function known(records: readonly RecordData[]): Lookup {
  return { isKnown: true, records };
}

function trimDot(name: string): string {
  return name.endsWith('.') ? name.slice(0, -1) : name;
}
