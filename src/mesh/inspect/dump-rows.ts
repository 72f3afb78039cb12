import { hexSerial } from './certificate-report.js';
import { connectionReports } from './connection-report.js';
import type { DumpGatewayAddress, DumpIdentity, ZtunnelDump } from './ztunnel-dump.js';

/** Parts of a node proxy's configuration that can be shown on their own. */
export const dumpSections = ['workload', 'service', 'policy', 'certificate', 'connections'] as const;
export type DumpSection = (typeof dumpSections)[number];

/** Restricts rows; an absent field does not. */
export interface DumpFilter {
  readonly namespace?: string | undefined;
  readonly node?: string | undefined;
  readonly address?: string | undefined;
  readonly direction?: string | undefined;
  /** Only what belongs to this pod. */
  readonly pod?:
    | {
        readonly namespace: string;
        readonly name: string;
        readonly uid: string;
        readonly serviceAccount: string;
      }
    | undefined;
  /** Addresses as they are, without names. */
  readonly isRaw?: boolean | undefined;
}

export interface DumpTable {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly wideOnly: readonly string[];
  /** Columns to leave out where there is no room, the first to go first. */
  readonly optional: readonly string[];
}

/** One section of a dump as table rows; columns as istioctl's, more with `wide`. `now` in milliseconds. */
export function dumpTable(
  section: DumpSection,
  dump: ZtunnelDump,
  filter: DumpFilter,
  now: number,
): DumpTable {
  switch (section) {
    case 'workload':
      return workloadTable(dump, filter);
    case 'service':
      return serviceTable(dump, filter);
    case 'policy':
      return policyTable(dump, filter);
    case 'certificate':
      return certificateTable(dump, filter, now);
    case 'connections':
      return connectionTable(dump, filter);
  }
}

function workloadTable(dump: ZtunnelDump, filter: DumpFilter): DumpTable {
  const rows = dump.workloads
    .filter(
      (w) =>
        isSame(filter.namespace, w.namespace) &&
        isSame(filter.node, w.node) &&
        (filter.address === undefined || w.workloadIps?.includes(filter.address) === true) &&
        (filter.pod === undefined || (w.namespace === filter.pod.namespace && w.name === filter.pod.name)),
    )
    .sort((a, b) => `${a.namespace}/${a.name}`.localeCompare(`${b.namespace}/${b.name}`))
    .map((w) => [
      w.namespace,
      w.name,
      w.workloadIps?.join(',') || (w.hostname ?? ''),
      w.node ?? '',
      waypointName(dump, w.waypoint),
      w.protocol ?? '',
      w.serviceAccount ?? '',
      w.status ?? '',
      w.authorizationPolicies?.join(',') ?? '',
    ]);
  return {
    head: [
      'NAMESPACE',
      'POD NAME',
      'ADDRESS',
      'NODE',
      'WAYPOINT',
      'PROTOCOL',
      'SERVICE ACCOUNT',
      'STATUS',
      'POLICIES',
    ],
    rows,
    wideOnly: ['SERVICE ACCOUNT', 'STATUS', 'POLICIES'],
    optional: ['ADDRESS', 'NODE'],
  };
}

/** What terminates is used when nothing is healthy, and is not healthy. */
function isHealthy({ status }: { readonly status?: string }): boolean {
  return status === undefined || status === 'Healthy';
}

function serviceTable(dump: ZtunnelDump, filter: DumpFilter): DumpTable {
  const healthy = new Set(dump.workloads.filter(isHealthy).map((w) => w.uid));
  const rows = dump.services
    .filter((s) => isSame(filter.namespace, s.namespace))
    .sort((a, b) => `${a.namespace}/${a.name}`.localeCompare(`${b.namespace}/${b.name}`))
    .map((s) => {
      const endpoints = Object.entries(s.endpoints ?? {});
      const ready = endpoints.filter(([uid, e]) => isHealthy(e) && healthy.has(e.workloadUid ?? uid));
      return [
        s.namespace,
        s.name,
        s.vips?.map((v) => v.slice(v.indexOf('/') + 1)).join(',') ?? '',
        waypointName(dump, s.waypoint),
        `${ready.length}/${endpoints.length}`,
        Object.entries(s.ports ?? {})
          .map(([port, target]) => `${port}:${target}`)
          .join(','),
      ];
    });
  return {
    head: ['NAMESPACE', 'SERVICE NAME', 'SERVICE VIP', 'WAYPOINT', 'ENDPOINTS', 'PORTS'],
    rows,
    wideOnly: ['PORTS'],
    optional: ['SERVICE VIP'],
  };
}

function policyTable(dump: ZtunnelDump, filter: DumpFilter): DumpTable {
  const users = (key: string): number =>
    dump.workloads.filter((w) => w.authorizationPolicies?.includes(key) === true).length;
  const rows = dump.policies
    .filter((p) => isSame(filter.namespace, p.namespace))
    .sort((a, b) => `${a.namespace}/${a.name}`.localeCompare(`${b.namespace}/${b.name}`))
    .map((p) => [
      p.namespace,
      p.name,
      p.action,
      p.scope,
      p.dryRun === true ? 'yes' : 'no',
      p.scope === 'WorkloadSelector' ? String(users(`${p.namespace}/${p.name}`)) : '',
    ]);
  return {
    head: ['NAMESPACE', 'POLICY NAME', 'ACTION', 'SCOPE', 'DRY RUN', 'WORKLOADS'],
    rows,
    wideOnly: ['DRY RUN', 'WORKLOADS'],
    optional: [],
  };
}

function certificateTable(dump: ZtunnelDump, filter: DumpFilter, now: number): DumpTable {
  const suffix =
    filter.pod === undefined ? undefined : `/ns/${filter.pod.namespace}/sa/${filter.pod.serviceAccount}`;
  const rows = dump.certificates
    .filter((c) => suffix === undefined || c.identity.endsWith(suffix))
    .filter((c) => filter.namespace === undefined || c.identity.includes(`/ns/${filter.namespace}/`))
    .flatMap((c) => certificateRows(c, now));
  return {
    head: ['CERTIFICATE NAME', 'TYPE', 'STATUS', 'VALID CERT', 'SERIAL NUMBER', 'NOT AFTER', 'NOT BEFORE'],
    rows,
    wideOnly: [],
    optional: ['NOT BEFORE', 'SERIAL NUMBER', 'TYPE'],
  };
}

function certificateRows(entry: DumpIdentity, now: number): readonly (readonly string[])[] {
  const chain = entry.certChain ?? [];
  if (chain.length === 0) return [[entry.identity, 'NA', entry.state, 'false', 'NA', 'NA', 'NA']];
  const named = [
    ...chain.map((certificate, i) => ({ certificate, type: i === 0 ? 'Leaf' : 'Intermediate' })),
    ...(entry.rootCerts ?? []).map((certificate) => ({ certificate, type: 'Root' })),
  ];
  return named.map(({ certificate, type }) => [
    entry.identity,
    type,
    entry.state,
    String(Date.parse(certificate.validFrom) <= now && now < Date.parse(certificate.expirationTime)),
    hexSerial(certificate.serialNumber),
    certificate.expirationTime,
    certificate.validFrom,
  ]);
}

function connectionTable(dump: ZtunnelDump, filter: DumpFilter): DumpTable {
  const names = filter.isRaw === true ? new Map<string, string>() : addressNames(dump);
  const nameOf = (address: string): string => {
    const split = /^\[?(.*?)\]?:(\d+)$/.exec(address);
    const name = split?.[1] === undefined ? undefined : names.get(split[1]);
    return name === undefined ? address : `${name}:${split?.[2]}`;
  };
  const rows = Object.entries(dump.workloadState)
    .filter(
      ([uid, s]) =>
        isSame(filter.namespace, s.info?.namespace) && (filter.pod === undefined || uid === filter.pod.uid),
    )
    .flatMap(([uid, s]) =>
      connectionReports(dump, uid)
        .filter((c) => isSame(filter.direction, c.direction))
        .map((c) => [
          `${s.info?.name ?? uid}.${s.info?.namespace ?? ''}`,
          c.direction === 'inbound' ? 'Inbound' : 'Outbound',
          nameOf(c.remote),
          nameOf(c.target),
          c.protocol,
          c.isEncrypted ? c.evidence : 'plaintext',
          c.peer ?? '',
        ]),
    )
    .sort((a, b) => a.join(' ').localeCompare(b.join(' ')));
  return {
    head: ['WORKLOAD', 'DIRECTION', 'REMOTE', 'TARGET', 'PROTOCOL', 'TLS', 'PEER IDENTITY'],
    rows,
    wideOnly: ['PEER IDENTITY'],
    optional: ['PROTOCOL'],
  };
}

/** IP -> `name.namespace` for services and workloads of a dump; a workload wins on a shared address. */
function addressNames(dump: ZtunnelDump): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const s of dump.services) {
    for (const vip of s.vips ?? []) names.set(vip.slice(vip.indexOf('/') + 1), s.hostname);
  }
  for (const w of dump.workloads) {
    if (w.networkMode === 'HostNetwork') continue;
    for (const ip of w.workloadIps ?? []) names.set(ip, `${w.name}.${w.namespace}`);
  }
  return names;
}

/** `None`, the name of the waypoint, or its destination when the dump does not hold it. */
function waypointName(dump: ZtunnelDump, waypoint: DumpGatewayAddress | undefined): string {
  if (waypoint === undefined) return 'None';
  const found = dump.services.find(
    (s) =>
      `${s.namespace}/${s.hostname}` === waypoint.destination ||
      s.vips?.includes(waypoint.destination) === true,
  );
  return found?.name ?? `${waypoint.destination} (missing)`;
}

function isSame(wanted: string | undefined, have: string | undefined): boolean {
  return wanted === undefined || wanted.toLowerCase() === (have ?? '').toLowerCase();
}
