import { dumpCertificate } from '../../identity/certificate-dump.js';
import type { CertificateState } from '../../identity/certificate-manager.js';
import type { L4Policy } from '../../policy/l4/compile.js';
import { policyJson } from '../../policy/l4/policy-json.js';
import { formatCidr } from '#base/net/cidr.js';
import type { ConnectionView } from '../proxy/connection.js';
import type { RefusedAttempt } from '../../telemetry/refused-attempts.js';
import type { MeshView } from '../../view/mesh-view.js';
import {
  type GatewayRef,
  type KnownService,
  type KnownWorkload,
  networkAddress,
  type PortMap,
} from '../../view/known.js';
import type { WorkloadEntryView } from '../zds/workload-manager.js';

type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
type JsonObject = { [key: string]: Json };

export interface ZtunnelDumpInput {
  readonly view: MeshView;
  readonly policies: readonly L4Policy[];
  readonly certificates: readonly CertificateState[];
  readonly workloads: readonly WorkloadEntryView[];
  readonly refused: readonly RefusedAttempt[];
  readonly version: { readonly version: string; readonly istioVersion: string };
  readonly config: JsonObject;
}

/**
 * The state dump of the admin port, in the layout upstream's tools read. Each live connection that is encrypted
 * additionally tells the negotiated TLS, how long it took to set up, and the application it is for; `refusedAttempts` what
 * was refused of late.
 */
export function ztunnelStateDump(input: ZtunnelDumpInput): JsonObject {
  const { view } = input;
  const workloads = [...view.workloads].sort(by((w) => w.uid));
  const services = [...view.services].sort(by((s) => s.hostname));
  const awaited = [...view.awaitedServices()].map((key) => [key, endpointsJson(key, view.members(key))]);
  return {
    workloads: workloads.map(workloadJson),
    services: services.map((s) => serviceJson(s, view)),
    policies: input.policies.map(({ source }) => policyJson(source)),
    stagedServices: Object.fromEntries(awaited) as JsonObject,
    staticConfig: { workloads: [], policies: [], services: [] },
    version: { version: input.version.version, istioVersion: input.version.istioVersion },
    config: input.config,
    certificates: input.certificates.map(dumpCertificate),
    workloadState: Object.fromEntries(input.workloads.map((w) => [w.uid, workloadStateJson(w)])),
    refusedAttempts: input.refused.map(attemptJson),
  };
}

function workloadJson(w: KnownWorkload): JsonObject {
  return {
    workloadIps: [...w.addresses],
    ...optional({
      waypoint: w.waypoint && gatewayJson(w.waypoint),
      networkGateway: w.networkGateway && gatewayJson(w.networkGateway),
    }),
    protocol: w.protocol,
    networkMode: w.networkMode,
    ...optional({
      uid: w.uid,
      hostname: w.hostname,
      network: w.network,
      trustDomain: w.trustDomain,
      serviceAccount: w.serviceAccount,
      workloadName: w.workloadName,
      workloadType: w.workloadType,
      canonicalName: w.canonicalName,
      canonicalRevision: w.canonicalRevision,
      node: w.node,
      nativeTunnel: w.nativeTunnel,
      authorizationPolicies: [...w.authorizationPolicies],
      services: [...w.services.keys()],
      applicationTunnel:
        w.applicationTunnel &&
        (w.applicationTunnel.port > 0
          ? { protocol: w.applicationTunnel.protocol, port: w.applicationTunnel.port }
          : { protocol: w.applicationTunnel.protocol }),
      locality:
        w.locality.region || w.locality.zone || w.locality.subzone
          ? { region: w.locality.region, zone: w.locality.zone, subzone: w.locality.subzone }
          : undefined,
    }),
    name: w.name,
    namespace: w.namespace,
    status: w.status,
    clusterId: w.clusterId,
    capacity: w.capacity,
  };
}

function serviceJson(s: KnownService, view: MeshView): JsonObject {
  return {
    name: s.name,
    namespace: s.namespace,
    hostname: s.hostname,
    vips: s.vips.map((v) => networkAddress(v.network, v.ip)),
    ports: Object.fromEntries([...s.ports.values()].map((p) => [String(p.port), p.targetPort])),
    endpoints: endpointsJson(s.key, usableMembers(s, view)),
    subjectAltNames: [...s.subjectAltNames],
    ...optional({
      cidrVips: s.cidrVips.map((v) => ({ network: v.network, cidr: formatCidr(v.cidr) })),
      waypoint: s.waypoint && gatewayJson(s.waypoint),
      weightedWaypoints: s.weightedWaypoints.map((w) => ({
        destination: gatewayJson(w.destination),
        weight: w.weight,
      })),
      loadBalancer: s.loadBalancer && {
        routingPreferences: [...s.loadBalancer.routingPreferences],
        mode: s.loadBalancer.mode,
        healthPolicy: s.loadBalancer.healthPolicy,
      },
      ipFamilies: s.ipFamilies,
    }),
    canonical: s.canonical,
    visibility: s.visibility,
  };
}

function gatewayJson(gateway: GatewayRef): JsonObject {
  const { destination, hboneMtlsPort } = gateway;
  switch (destination.kind) {
    case 'hostname':
      return { destination: `${destination.namespace}/${destination.hostname}`, hboneMtlsPort };
    case 'address':
      return { destination: networkAddress(destination.network, destination.ip), hboneMtlsPort };
    case 'unknown':
      return { destination: 'unknown', hboneMtlsPort };
  }
}

/** The workloads that may get calls to a service, now or when nothing better is left. */
function usableMembers({ key, loadBalancer }: KnownService, view: MeshView): KnownWorkload[] {
  const isUsable = (w: KnownWorkload) =>
    w.status !== 'Unhealthy' || loadBalancer?.healthPolicy === 'AllowAll';
  return [...view.members(key)].filter(isUsable);
}

function endpointsJson(key: string, members: Iterable<KnownWorkload>): JsonObject {
  return Object.fromEntries(
    [...members].map(({ uid, services, status }) => [
      uid,
      { workloadUid: uid, port: portsJson(services.get(key) ?? new Map()), status },
    ]),
  );
}

function portsJson(ports: PortMap): JsonObject {
  return Object.fromEntries([...ports].map(([from, to]) => [String(from), to]));
}

function workloadStateJson(entry: WorkloadEntryView): JsonObject {
  const { name, namespace, serviceAccount } = entry.info;
  const info = { name, namespace, serviceAccount };
  if (entry.state === 'Pending') return { state: 'Pending', info };
  const views = entry.proxy.connections.views();
  return {
    state: 'Up',
    connections: {
      inbound: views.filter((v) => v.direction === 'inbound').map(connectionJson),
      outbound: views.filter((v) => v.direction === 'outbound').map(connectionJson),
    },
    info,
  };
}

function connectionJson(view: ConnectionView): JsonObject {
  const { src, originalDst, actualDst, protocol, tls, client, setupMs } = view;
  return {
    src,
    originalDst,
    actualDst,
    protocol,
    setupMs,
    ...(client === undefined ? {} : { client }),
    ...(tls === undefined ? {} : { tls: { version: tls.version, cipher: tls.cipher, peer: tls.peer } }),
  };
}

function attemptJson({ source, destination, ...attempt }: RefusedAttempt): JsonObject {
  return { ...attempt, source: { ...source }, destination: { ...destination } };
}

/** Leaves out what is empty: readers treat a missing key as its default. */
function optional(fields: Record<string, Json | undefined>): JsonObject {
  const kept: JsonObject = {};
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined || value === '' || value === false || value === null) continue;
    if (Array.isArray(value) && value.length === 0) continue;
    kept[key] = value;
  }
  return kept;
}

function by<T>(key: (item: T) => string): (a: T, b: T) => number {
  return (a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0);
}
