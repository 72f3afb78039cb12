import { readdirSync, readFileSync } from 'node:fs';
import { create, fromJson, type JsonObject, type JsonValue, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { parseCidr } from '#base/net/cidr.js';
import { formatHostPort, parseAuthority } from '#base/net/authority.js';
import { resolveDestination } from '#mesh/gateway/connection/destination.js';
import { Backends } from '#mesh/gateway/upstream/backends.js';
import { LeastRequest } from '#mesh/gateway/upstream/least-request.js';
import { MeshView } from '#mesh/view/mesh-view.js';
import { terminatingExtension } from '#mesh/xds/extensions.js';
import { AddressSchema, ServiceSchema, WorkloadSchema } from '#mesh/xds/gen/istio/workload_pb.js';
import { resolveOutbound } from '#mesh/ztunnel/routing/outbound.js';
import { ClientAffinity } from '#mesh/view/client-affinity.js';

/**
 * Where a call goes, asked of everybody who decides it: ztunnel's outbound decision and the L7 proxy's choice of an
 * endpoint. Services and workloads are in the proto3 JSON of the Workload API, with addresses as text and these
 * shorthands: `vips` (`[network/]ip[/length]`), `of` (the service a workload backs, `name[.namespace]`) with its
 * `ports` (80 to 8080 unless given), `terminating`. `goes`: every `host ip:port` that can be chosen, `shares` how
 * often; `refused`; `untouched`: the service is known, and the address called is used; `unknown`: the mesh knows
 * nothing of the address, which ztunnel lets pass and a gateway refuses.
 */
interface Vector {
  readonly name: string;
  readonly services?: readonly JsonObject[];
  readonly workloads?: readonly JsonObject[];
  readonly call: string;
  readonly goes: readonly string[] | 'refused' | 'untouched' | 'unknown';
  readonly shares?: readonly number[];
  readonly protocol?: string;
}

const drawCount = 240;
const place = { node: 'node-1', locality: { region: 'r1', zone: 'z1' } };
const gateway = {
  namespace: 'shop',
  hostname: 'waypoint.shop.svc.cluster.local',
  network: '',
  podIp: '10.9.9.9',
};
const atGateway = { hostname: { namespace: 'shop', hostname: gateway.hostname }, hboneMtlsPort: 15008 };
const client = 'Kubernetes//Pod/shop/client';

const folder = new URL('vectors/', import.meta.url);
const files = readdirSync(folder).map((file): [string, Vector[]] => [
  file,
  parse(readFileSync(new URL(file, folder), 'utf8')) as Vector[],
]);

describe.each(files)('%s', (_file, vectors) => {
  test.each(vectors)('$name', (vector) => {
    expect({ ztunnel: byZtunnel(vector), gateway: byGateway(vector) }).toEqual({
      ztunnel: expected(vector),
      gateway: vector.goes === 'unknown' ? 'refused' : expected(vector),
    });
    if (vector.protocol !== undefined) expect(gatewayProtocol(vector)).toBe(vector.protocol);
  });
});

function expected({ goes, shares }: Vector): unknown {
  if (typeof goes === 'string') return goes;
  return Object.fromEntries(goes.map((place, i) => [place, shares?.[i] ?? 1 / goes.length]));
}

function byZtunnel(vector: Vector): unknown {
  const view = viewOf(vector, { isBehindGateway: false });
  const source = view.workload(client);
  const destination = parseAuthority(vector.call);
  if (source === undefined || destination === undefined) throw new Error('no client or no destination');
  return outcomes((random) => {
    const route = resolveOutbound(view, { source, destination, random, affinity: new ClientAffinity() });
    if (route.kind === 'refuse') return 'refused';
    if (route.kind === 'hbone') return `${route.workload.name} ${route.authority}`;
    if (route.workload !== undefined) return `${route.workload.name} ${formatHostPort(route.destination)}`;
    return route.service === undefined ? 'unknown' : 'untouched';
  });
}

function byGateway(vector: Vector): unknown {
  const view = viewOf(vector, { isBehindGateway: true });
  const destination = resolveDestination(view, gateway, { authority: vector.call, clientNamespace: 'shop' });
  if (destination.kind === 'refused') return 'refused';
  const placement = { network: '', clusterId: 'Kubernetes', node: place.node, ip: gateway.podIp };
  return outcomes((random) => {
    const backends = new Backends(view, placement, new LeastRequest(random));
    const endpoint = backends.pick({ destination, peerAddress: { ip: '10.8.8.8', port: 1 } }, new Set());
    if (endpoint === undefined) return 'refused';
    const { workload, ip: host, port } = endpoint;
    const address = formatHostPort({ host, port });
    if (workload === undefined) return address === vector.call ? 'untouched' : `nobody ${address}`;
    return `${workload.name} ${address}`;
  });
}

function gatewayProtocol(vector: Vector): string {
  const view = viewOf(vector, { isBehindGateway: true });
  const destination = resolveDestination(view, gateway, { authority: vector.call, clientNamespace: 'shop' });
  return destination.kind === 'refused' ? destination.reason : destination.protocol;
}

/** What comes out of every draw: one word, or the share of each place. */
function outcomes(decide: (random: () => number) => string): unknown {
  const counts: Record<string, number> = {};
  for (let i = 0; i < drawCount; i++) {
    const outcome = decide(() => (i + 0.5) / drawCount);
    counts[outcome] = (counts[outcome] ?? 0) + 1;
  }
  const [only, ...others] = Object.keys(counts);
  if (only !== undefined && others.length === 0 && !only.includes(' ')) return only;
  return Object.fromEntries(Object.entries(counts).map(([key, count]) => [key, count / drawCount]));
}

function viewOf({ services = [], workloads = [] }: Vector, o: { isBehindGateway: boolean }): MeshView {
  const view = new MeshView();
  const binding: JsonObject = o.isBehindGateway ? { waypoint: atGateway } : {};
  const own = [
    { name: 'client', addresses: ['10.8.8.8'], ...place },
    { name: 'gateway', addresses: [gateway.podIp], ...place },
  ];
  for (const service of services) {
    const isBound = 'waypoint' in service || 'weightedWaypoints' in service;
    put(view, 'service', serviceJson(isBound ? service : { ...service, ...binding }));
  }
  for (const workload of [...own, ...workloads])
    put(view, 'workload', workloadJson({ ...binding, ...workload }));
  return view;
}

function put(view: MeshView, kind: 'service' | 'workload', json: JsonObject): void {
  const type =
    kind === 'service'
      ? { case: kind, value: fromJson(ServiceSchema, json) }
      : { case: kind, value: fromJson(WorkloadSchema, json) };
  const value = toBinary(AddressSchema, create(AddressSchema, { type } as never));
  view.upsert({ name: kind, version: '', value });
}

const usualPorts: JsonObject[] = [{ servicePort: 80, targetPort: 8080 }];

function serviceJson({ vips = [], ...rest }: JsonObject): JsonObject {
  const { name, namespace = 'shop' } = rest as { name: string; namespace?: string };
  return {
    namespace,
    hostname: `${name}.${namespace}.svc.cluster.local`,
    ports: usualPorts,
    addresses: (vips as string[]).map((text) => {
      const [, network = '', address = ''] = /^(?:([a-z]+)\/)?(.*)$/.exec(text) ?? [];
      return { network, ...base64Of(address, address.includes('/')) };
    }),
    ...rest,
  };
}

function workloadJson(json: JsonObject): JsonObject {
  const { of, ports = usualPorts, addresses = [], terminating, ...rest } = json;
  const { name } = rest as { name: string };
  const services: Record<string, JsonValue> = {};
  if (typeof of === 'string') {
    const [service = '', namespace = 'shop'] = of.split('.');
    services[`${namespace}/${service}.${namespace}.svc.cluster.local`] = { ports };
  }
  return {
    uid: `Kubernetes//Pod/shop/${name}`,
    namespace: 'shop',
    tunnelProtocol: 'HBONE',
    services,
    addresses: (addresses as string[]).map((text) => base64Of(text, false).address),
    ...(terminating === true ? { extensions: [{ name: terminatingExtension }] } : {}),
    ...rest,
  };
}

function base64Of(text: string, hasLength: boolean): { address: string; length?: number } {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new Error(`${text} is no address`);
  const address = Buffer.from(cidr.address).toString('base64');
  return hasLength ? { address, length: cidr.length } : { address };
}
