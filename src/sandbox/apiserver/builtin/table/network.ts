import { newEventStrategy } from '../../kinds/core/event.js';
import { coreEventConversion } from '../../kinds/event-conversion.js';
import type { Rows } from './row.js';

/** Networking, endpoint discovery, leases and the second kind of events. */
export const networkRows: Rows = {
  'coordination.k8s.io/v1': [{ kind: 'Lease', plural: 'leases', upsert: true, pinned: true }],
  'discovery.k8s.io/v1': [{ kind: 'EndpointSlice', plural: 'endpointslices', generation: true }],
  'events.k8s.io/v1': [
    {
      kind: 'Event',
      plural: 'events',
      short: 'ev',
      upsert: true,
      fields:
        'regarding.kind regarding.namespace regarding.name regarding.uid reason reportingController type',
      storage: 'events',
      storageVersion: 'v1',
      convert: coreEventConversion,
      strategy: newEventStrategy(coreEventConversion.toStorage),
    },
  ],
  'networking.k8s.io/v1': [
    { kind: 'IngressClass', plural: 'ingressclasses', cluster: true, generation: true },
    { kind: 'Ingress', plural: 'ingresses', short: 'ing', status: true, generation: true },
    { kind: 'NetworkPolicy', plural: 'networkpolicies', short: 'netpol', generation: true },
  ],
};
