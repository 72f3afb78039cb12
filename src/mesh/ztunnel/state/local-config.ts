import { readFile } from 'node:fs/promises';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { parse } from 'yaml';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import { formatSpiffeId } from '../../identity/spiffe.js';
import {
  Action,
  AuthorizationSchema,
  type MatchSchema,
  Scope,
} from '../../xds/gen/istio/authorization_pb.js';
import { bytesToIp, isIp } from '#base/net/address.js';
import { type Cidr, parseCidr } from '#base/net/cidr.js';
import type { MeshState } from './mesh-state.js';
import type { GatewayRef, Service, Workload, WorkloadType } from './model.js';
import type { PolicyStore } from './policy-store.js';

type Fields = Readonly<Record<string, unknown>>;

/**
 * Loads workloads, services and policies from a YAML file with the key names of the state dump (LOCAL_XDS_PATH).
 * Rejects with MESH0503 naming the entry that cannot be read, including keys nobody knows.
 */
export async function loadLocalConfig(options: {
  path: string;
  state: MeshState;
  policies: PolicyStore;
}): Promise<void> {
  const { path, state, policies } = options;
  try {
    const root = new Reader(parse(await readFile(path, 'utf8')) as unknown, 'file');
    root.only(['workloads', 'services', 'policies']);
    for (const item of root.list('services')) state.putService(readService(item));
    for (const item of root.list('workloads')) state.putWorkload(readWorkload(item));
    for (const item of root.list('policies')) policies.put(readPolicy(item));
  } catch (error) {
    throw new MeshError('MESH0503', `LOCAL_XDS_PATH ${path}: ${messageOf(error)}`, { cause: error });
  }
}

/** Typed access to one mapping of the file; errors name the place. */
class Reader {
  readonly #place: string;

  readonly #fields: Fields;

  constructor(value: unknown, place: string) {
    this.#place = place;

    if (value === null || value === undefined) this.#fields = {};
    else if (typeof value === 'object' && !Array.isArray(value)) this.#fields = value as Fields;
    else throw new Error(`${place} is not a mapping`);
  }

  only(known: readonly string[]): void {
    for (const key of Object.keys(this.#fields)) {
      if (!known.includes(key)) throw new Error(`${this.#place} has the unknown key ${key}`);
    }
  }

  has(key: string): boolean {
    return this.#fields[key] !== undefined && this.#fields[key] !== null;
  }

  raw(key: string): unknown {
    return this.#fields[key];
  }

  text(key: string, fallback = ''): string {
    if (!this.has(key)) return fallback;
    const value = this.#fields[key];
    if (typeof value === 'string' || typeof value === 'number') return String(value);
    throw new Error(`${this.#place}.${key} is not text`);
  }

  number(key: string, fallback: number): number {
    if (!this.has(key)) return fallback;
    const value = this.#fields[key];
    if (typeof value !== 'number') throw new Error(`${this.#place}.${key} is not a number`);
    return value;
  }

  flag(key: string): boolean {
    return this.#fields[key] === true;
  }

  /** One of the words; the comparison ignores case. */
  word<T extends string>(key: string, words: readonly T[], fallback: T): T {
    const text = this.text(key, fallback);
    const found = words.find((w) => w.toLowerCase() === text.toLowerCase());
    if (found === undefined)
      throw new Error(`${this.#place}.${key} is ${text}, expected ${words.join(' or ')}`);
    return found;
  }

  texts(key: string): string[] {
    return this.array(key).map(String);
  }

  array(key: string): unknown[] {
    if (!this.has(key)) return [];
    const value = this.#fields[key];
    if (!Array.isArray(value)) throw new Error(`${this.#place}.${key} is not a list`);
    return value;
  }

  list(key: string): Reader[] {
    return this.array(key).map((item, i) => new Reader(item, `${this.#place}.${key}[${i}]`));
  }

  child(key: string): Reader | undefined {
    return this.has(key) ? new Reader(this.#fields[key], `${this.#place}.${key}`) : undefined;
  }

  /** A mapping whose keys are ports. */
  ports(): Map<number, number> {
    return new Map(Object.entries(this.#fields).map(([from, to]) => [Number(from), Number(to)]));
  }

  keys(): string[] {
    return Object.keys(this.#fields);
  }
}

const workloadKeys = [
  'workloadIps',
  'waypoint',
  'networkGateway',
  'protocol',
  'networkMode',
  'uid',
  'name',
  'namespace',
  'trustDomain',
  'serviceAccount',
  'network',
  'workloadName',
  'workloadType',
  'canonicalName',
  'canonicalRevision',
  'node',
  'nativeTunnel',
  'authorizationPolicies',
  'status',
  'clusterId',
  'locality',
  'services',
  'capacity',
  'hostname',
  'applicationTunnel',
];

function readWorkload(r: Reader): Workload {
  r.only(workloadKeys);
  const namespace = r.text('namespace');
  const serviceAccount = r.text('serviceAccount', 'default');
  const trustDomain = r.text('trustDomain', 'cluster.local');
  const services = r.child('services');
  const locality = r.child('locality');
  const tunnel = r.child('applicationTunnel');
  return {
    uid: r.text('uid') || `Kubernetes//Pod/${namespace}/${r.text('name')}`,
    name: r.text('name'),
    namespace,
    addresses: r.texts('workloadIps').map(checkIp),
    hostname: r.text('hostname'),
    network: r.text('network'),
    protocol: r.word('protocol', ['HBONE', 'TCP'], 'TCP'),
    trustDomain,
    serviceAccount,
    identity: formatSpiffeId({ trustDomain, namespace, serviceAccount }),
    waypoint: readGateway(r.child('waypoint')),
    networkGateway: readGateway(r.child('networkGateway')),
    node: r.text('node'),
    canonicalName: r.text('canonicalName'),
    canonicalRevision: r.text('canonicalRevision'),
    workloadType: r.word<WorkloadType>('workloadType', ['deployment', 'cronjob', 'pod', 'job'], 'deployment'),
    workloadName: r.text('workloadName'),
    nativeTunnel: r.flag('nativeTunnel'),
    applicationTunnel:
      tunnel === undefined
        ? undefined
        : { protocol: tunnel.word('protocol', ['NONE', 'PROXY'], 'NONE'), port: tunnel.number('port', 0) },
    services: new Map(services?.keys().map((key) => [key, services.child(key)?.ports() ?? new Map()]) ?? []),
    authorizationPolicies: r.texts('authorizationPolicies'),
    status: r.word('status', ['Healthy', 'Unhealthy'], 'Healthy'),
    clusterId: r.text('clusterId', 'Kubernetes'),
    locality: {
      region: locality?.text('region') ?? '',
      zone: locality?.text('zone') ?? '',
      subzone: locality?.text('subzone') ?? '',
    },
    networkMode: r.word('networkMode', ['Standard', 'HostNetwork'], 'Standard'),
    capacity: r.number('capacity', 1),
  };
}

const serviceKeys = [
  'name',
  'namespace',
  'hostname',
  'vips',
  'cidrVips',
  'ports',
  'endpoints',
  'subjectAltNames',
  'waypoint',
  'weightedWaypoints',
  'loadBalancer',
  'ipFamilies',
  'canonical',
  'visibility',
];

function readService(r: Reader): Service {
  r.only(serviceKeys);
  const balancing = r.child('loadBalancer');
  return {
    name: r.text('name'),
    namespace: r.text('namespace'),
    hostname: r.text('hostname'),
    vips: r.texts('vips').map(readNetworkAddress),
    cidrVips: r.list('cidrVips').map((c) => {
      const { address, length } = readCidr(c.text('cidr'));
      return { network: c.text('network'), ip: bytesToIp(address) ?? '', length };
    }),
    ports: r.child('ports')?.ports() ?? new Map(),
    subjectAltNames: r.texts('subjectAltNames'),
    waypoint: readGateway(r.child('waypoint')),
    weightedWaypoints: r.list('weightedWaypoints').map((w) => {
      const destination = readGateway(w.child('destination'));
      if (destination === undefined) throw new Error('weightedWaypoints entry without destination');
      return { destination, weight: w.number('weight', 0) };
    }),
    loadBalancer: balancing && {
      routingPreferences: balancing
        .texts('routingPreferences')
        .map((word) => pickWord(word, ['Region', 'Zone', 'Subzone', 'Node', 'Cluster', 'Network'] as const)),
      mode: balancing.word('mode', ['Standard', 'Strict', 'Failover', 'Passthrough'], 'Standard'),
      healthPolicy: balancing.word('healthPolicy', ['OnlyHealthy', 'AllowAll'], 'OnlyHealthy'),
    },
    ipFamilies: r.has('ipFamilies')
      ? r.word('ipFamilies', ['IPv4', 'IPv6', 'Dual'] as const, 'IPv4')
      : undefined,
    canonical: r.flag('canonical'),
    visibility: r.word('visibility', ['Public', 'Namespace'], 'Public'),
  };
}

function readGateway(r: Reader | undefined): GatewayRef | undefined {
  if (r === undefined) return undefined;
  r.only(['destination', 'hboneMtlsPort']);
  const text = r.text('destination');
  const slash = text.indexOf('/');
  const first = text.slice(0, slash);
  const rest = text.slice(slash + 1);
  const hboneMtlsPort = r.number('hboneMtlsPort', 15008);
  return isIp(rest)
    ? { destination: { kind: 'address', network: first, ip: rest }, hboneMtlsPort }
    : { destination: { kind: 'hostname', namespace: first, hostname: rest }, hboneMtlsPort };
}

const stringKinds = { Exact: 'exact', Prefix: 'prefix', Suffix: 'suffix' } as const;

function readPolicy(r: Reader) {
  r.only(['name', 'namespace', 'scope', 'action', 'rules', 'dryRun']);
  const scope = r.word('scope', ['Global', 'Namespace', 'WorkloadSelector'], 'Global');
  const scopes = {
    Global: Scope.GLOBAL,
    Namespace: Scope.NAMESPACE,
    WorkloadSelector: Scope.WORKLOAD_SELECTOR,
  };
  return create(AuthorizationSchema, {
    name: r.text('name'),
    namespace: r.text('namespace'),
    scope: scopes[scope],
    action: r.word('action', ['Allow', 'Deny'], 'Allow') === 'Deny' ? Action.DENY : Action.ALLOW,
    dryRun: r.flag('dryRun'),
    rules: r.array('rules').map((rule) => ({
      clauses: asList(rule).map((clause) => ({
        matches: asList(clause).map((match) => readMatch(new Reader(match, `policy ${r.text('name')}`))),
      })),
    })),
  });
}

function readMatch(r: Reader): MessageInitShape<typeof MatchSchema> {
  const strings = (key: string) => r.list(key).map(readStringMatch);
  const accounts = (key: string) =>
    r.list(key).map((a) => ({ namespace: a.text('namespace'), serviceAccount: a.text('serviceAccount') }));
  const ranges = (key: string) => r.texts(key).map(readCidr);
  const ports = (key: string) => r.texts(key).map(Number);
  return {
    namespaces: strings('namespaces'),
    notNamespaces: strings('notNamespaces'),
    principals: strings('principals'),
    notPrincipals: strings('notPrincipals'),
    serviceAccounts: accounts('serviceAccounts'),
    notServiceAccounts: accounts('notServiceAccounts'),
    sourceIps: ranges('sourceIps'),
    notSourceIps: ranges('notSourceIps'),
    destinationIps: ranges('destinationIps'),
    notDestinationIps: ranges('notDestinationIps'),
    destinationPorts: ports('destinationPorts'),
    notDestinationPorts: ports('notDestinationPorts'),
  };
}

function readStringMatch(r: Reader) {
  if (r.has('Presence')) return { matchType: { case: 'presence' as const, value: {} } };
  for (const [key, kind] of Object.entries(stringKinds)) {
    if (r.has(key)) return { matchType: { case: kind, value: r.text(key) } };
  }
  throw new Error('a string match needs Exact, Prefix, Suffix or Presence');
}

function readNetworkAddress(text: string): { network: string; ip: string } {
  const slash = text.indexOf('/');
  return { network: text.slice(0, Math.max(slash, 0)), ip: checkIp(text.slice(slash + 1)) };
}

function readCidr(text: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new Error(`${text} is not an address range`);
  return cidr;
}

function checkIp(text: string): string {
  if (!isIp(text)) throw new Error(`${text} is not an IP address`);
  return text;
}

function pickWord<T extends string>(text: string, words: readonly T[]): T {
  const found = words.find((w) => w.toLowerCase() === text.toLowerCase());
  if (found === undefined) throw new Error(`${text} is none of ${words.join(', ')}`);
  return found;
}

function asList(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw new Error('policy rules are lists of lists of matches');
  return value;
}
