import { hbonePort } from '../hbone/parameters.js';
import * as labels from '#base/kube/labels.js';
import type { Gateway, GatewayClass } from '#base/kube/types.js';
import { ipToBytes } from '#base/net/address.js';
import { create } from '@bufbuild/protobuf';
import { GatewayAddressSchema, type GatewayAddress } from '../xds/gen/istio/workload_pb.js';
import { serviceHostname } from './service-name.js';

/** Value of a use-waypoint label that opts out. */
export const noWaypoint = 'none';

/** Traffic a waypoint is meant for. */
export type WaypointTraffic = 'service' | 'workload' | 'all' | 'none';

/** Which namespaces may bind to a waypoint. */
export type AllowedRoutes =
  | { readonly from: 'All' | 'Same' }
  | { readonly from: 'Selector'; readonly selector: NonNullable<AllowedSelector> };
type AllowedSelector = NonNullable<
  NonNullable<Gateway['spec']['listeners'][number]['allowedRoutes']>['namespaces']
>['selector'];

/** A Gateway as binding sees it. */
export interface Waypoint {
  readonly namespace: string;
  readonly name: string;
  readonly className: string;
  /** Empty until the Gateway was given an address: until then it is not ready. */
  readonly addresses: readonly { readonly type: string; readonly value: string }[];
  readonly traffic: WaypointTraffic;
  readonly allowedRoutes: AllowedRoutes;
}

/** `namespace/name`. */
export function waypointKey(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

/** What binding needs of a Gateway. Any class counts, as upstream. */
export function waypointOf(gateway: Gateway, gatewayClass: GatewayClass | undefined): Waypoint {
  const { metadata, spec, status } = gateway;
  const traffic =
    metadata.labels?.[labels.waypointFor] ?? gatewayClass?.metadata.labels?.[labels.waypointFor];
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    className: spec.gatewayClassName,
    addresses: (status?.addresses ?? []).map(({ type, value }) => ({ type: type ?? 'IPAddress', value })),
    traffic: parseTraffic(traffic),
    allowedRoutes: allowedRoutesOf(gateway),
  };
}

/** Where traffic for a waypoint goes. A waypoint without address, or unknown, is addressed by its future Service name. */
export function gatewayAddressOf(input: {
  readonly namespace: string;
  readonly name: string;
  readonly waypoint: Waypoint | undefined;
  readonly clusterDomain: string;
  readonly network: string;
}): GatewayAddress {
  const { namespace, name, waypoint, clusterDomain, network } = input;
  const addresses = waypoint?.addresses ?? [];
  const hostname = addresses.find(({ type }) => type === 'Hostname')?.value;
  const ip = addresses.map(({ value }) => ipToBytes(value)).find((bytes) => bytes !== undefined);
  if (hostname === undefined && ip !== undefined) {
    return create(GatewayAddressSchema, {
      destination: { case: 'address', value: { network, address: ip } },
      hboneMtlsPort: hbonePort,
    });
  }
  return create(GatewayAddressSchema, {
    destination: {
      case: 'hostname',
      value: { namespace, hostname: hostname ?? serviceHostname(namespace, name, clusterDomain) },
    },
    hboneMtlsPort: hbonePort,
  });
}

function parseTraffic(value: string | undefined): WaypointTraffic {
  switch (value) {
    case 'workload':
    case 'all':
    case 'none':
      return value;
    default:
      return 'service';
  }
}

function allowedRoutesOf(gateway: Gateway): AllowedRoutes {
  const listener = gateway.spec.listeners.find((l) => l.protocol === 'HBONE' && l.port === hbonePort);
  const namespaces = listener?.allowedRoutes?.namespaces;
  if (namespaces?.from === 'All') return { from: 'All' };
  if (namespaces?.from === 'Selector' && namespaces.selector !== undefined) {
    return { from: 'Selector', selector: namespaces.selector };
  }
  return { from: 'Same' };
}
