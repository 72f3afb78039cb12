import { endpoints as endpointsResource, endpointSlices, services } from '#base/kube/resource.js';
import type { EndpointAddress, Endpoints, EndpointSlice, Service } from '#base/kube/types.js';
import { keyOfObject } from '../../cache/object-cache.js';
import { familyOf } from '#base/net/address.js';
import {
  type Controller,
  type ClusterControllerDeps,
  type ControllerQueue,
  splitKey,
} from '../controller.js';
import type { DesiredSlice } from './endpoint-model.js';
import { isManaged, removeSlices, serviceNameLabel, type SliceTarget, writeSlices } from './slice-writer.js';

const manager = 'endpointslicemirroring-controller.k8s.io';
const skipLabel = 'endpointslice.kubernetes.io/skip-mirror';
/** Endpoints that only hold a leader's lock. */
const leaderAnnotation = 'control-plane.alpha.kubernetes.io/leader';
/** Addresses of one subset that are mirrored, and endpoints per slice; upstream's defaults. */
const addressesMax = 1000;
const endpointsPerSliceMax = 100;

/**
 * Makes EndpointSlices from Endpoints that somebody wrote by hand for a service without
 * selector, since routing, DNS and most clients read slices only.
 */
export function endpointSliceMirroringController(
  deps: ClusterControllerDeps,
  queue: ControllerQueue,
): Controller {
  const allEndpoints = deps.caches.of<Endpoints>(endpointsResource);
  const allServices = deps.caches.of<Service>(services);
  const slices = deps.caches.of<EndpointSlice>(endpointSlices);
  const target: SliceTarget = { client: deps.client, cache: slices, manager };
  allEndpoints.onChange(({ object }) => queue.add(keyOfObject(object)));
  allServices.onChange(({ object }) => queue.add(keyOfObject(object)));
  slices.onChange(({ object }) => {
    const name = object.metadata.labels?.[serviceNameLabel];
    if (name !== undefined && isManaged(object, manager))
      queue.add(`${object.metadata.namespace ?? ''}/${name}`);
  });
  return {
    name: 'endpointslice-mirroring',
    keys: () => allEndpoints.list().map(keyOfObject),
    reconcile: async (key) => {
      const { namespace, name } = splitKey(key);
      const endpoints = allEndpoints.get(namespace, name);
      const service = allServices.get(namespace, name);
      if (endpoints === undefined || service === undefined || !isMirrored(endpoints, service)) {
        await removeSlices(target, namespace, name);
        return;
      }
      await writeSlices(target, {
        owner: endpoints,
        labels: endpoints.metadata.labels ?? {},
        desired: mirroredSlices(endpoints),
      });
    },
  };
}

function isMirrored(endpoints: Endpoints, service: Service): boolean {
  const { labels, annotations, deletionTimestamp } = endpoints.metadata;
  return (
    deletionTimestamp === undefined &&
    service.metadata.deletionTimestamp === undefined &&
    service.spec.type !== 'ExternalName' &&
    Object.keys(service.spec.selector ?? {}).length === 0 &&
    labels?.[skipLabel] !== 'true' &&
    annotations?.[leaderAnnotation] === undefined
  );
}

/** The slices that say what the Endpoints say. */
export function mirroredSlices(endpoints: Endpoints): DesiredSlice[] {
  const slices: DesiredSlice[] = [];
  for (const { addresses = [], notReadyAddresses = [], ports = [] } of endpoints.subsets ?? []) {
    const all = [
      ...addresses.map((address) => ({ address, ready: true })),
      ...notReadyAddresses.map((address) => ({ address, ready: false })),
    ].slice(0, addressesMax);
    for (const addressType of ['IPv4', 'IPv6'] as const) {
      const own = all.filter(({ address }) => familyOf(address.ip) === addressType).map(toEndpoint);
      for (let at = 0; at < own.length; at += endpointsPerSliceMax) {
        slices.push({
          addressType,
          endpoints: own.slice(at, at + endpointsPerSliceMax),
          ports: ports.map((port) => ({
            name: port.name ?? '',
            port: port.port,
            protocol: port.protocol ?? 'TCP',
            ...(port.appProtocol === undefined ? {} : { appProtocol: port.appProtocol }),
          })),
        });
      }
    }
  }
  return slices;
}

function toEndpoint(o: { readonly address: EndpointAddress; readonly ready: boolean }) {
  const { ip, hostname, nodeName, targetRef } = o.address;
  return {
    addresses: [ip],
    conditions: { ready: o.ready },
    ...(hostname === undefined ? {} : { hostname }),
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(targetRef === undefined ? {} : { targetRef }),
  };
}
