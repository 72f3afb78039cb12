import type { EndpointAddress, Endpoints } from '#base/kube/types.js';
import type { DesiredSlice } from './endpoint-model.js';
import { canonicalJson } from '../template-hash.js';

type Subset = NonNullable<Endpoints['subsets']>[number];

/** Addresses an Endpoints object may hold; upstream truncates at the same number. */
const addressesMax = 1000;

/** The subsets of an Endpoints object that say the same as the slices; without addresses there are none. */
export function desiredSubsets(slices: readonly DesiredSlice[]): Subset[] {
  const [first] = slices;
  const groups = new Map<
    string,
    { ready: EndpointAddress[]; notReady: EndpointAddress[]; ports: Subset['ports'] }
  >();
  let count = 0;
  for (const slice of slices) {
    // Endpoints know one address family: the service's first.
    if (slice.addressType !== first?.addressType) continue;
    const id = canonicalJson(slice.ports);
    const group = groups.get(id) ?? { ready: [], notReady: [], ports: slice.ports.map(toSubsetPort) };
    groups.set(id, group);
    for (const endpoint of slice.endpoints) {
      // Terminating pods never were part of Endpoints.
      if (endpoint.conditions?.terminating === true && endpoint.conditions.ready !== true) continue;
      if (count++ >= addressesMax) break;
      const address: EndpointAddress = {
        ip: endpoint.addresses[0] ?? '',
        ...(endpoint.hostname === undefined ? {} : { hostname: endpoint.hostname }),
        ...(endpoint.nodeName === undefined ? {} : { nodeName: endpoint.nodeName }),
        ...(endpoint.targetRef === undefined ? {} : { targetRef: endpoint.targetRef }),
      };
      (endpoint.conditions?.ready === true ? group.ready : group.notReady).push(address);
    }
  }
  return [...groups.values()]
    .filter((group) => group.ready.length + group.notReady.length > 0)
    .map((group) => ({
      ...(group.ready.length === 0 ? {} : { addresses: group.ready }),
      ...(group.notReady.length === 0 ? {} : { notReadyAddresses: group.notReady }),
      ...(group.ports === undefined || group.ports.length === 0 ? {} : { ports: group.ports }),
    }));
}

function toSubsetPort(port: DesiredSlice['ports'][number]): NonNullable<Subset['ports']>[number] {
  return {
    ...(port.name === undefined || port.name === '' ? {} : { name: port.name }),
    port: port.port ?? 0,
    ...(port.protocol === undefined ? {} : { protocol: port.protocol }),
    ...(port.appProtocol === undefined ? {} : { appProtocol: port.appProtocol }),
  };
}
