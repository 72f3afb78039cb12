import * as resources from '#base/kube/resource.js';
import { honored, ignored, type KindSupport, refused, type SupportTable } from './support.js';

const noRoutes = 'routing is not changed in this version: every call goes to the service that was called';

const gateway: SupportTable = {
  gatewayClassName: honored(),
  'listeners[].name': honored(),
  'listeners[].port': honored(),
  'listeners[].protocol': honored(),
  'listeners[].hostname': ignored('a waypoint serves every host of the services bound to it'),
  'listeners[].tls': ignored('a waypoint takes mTLS of the mesh only'),
  'listeners[].allowedRoutes.namespaces': honored({ isWhole: true }),
  'listeners[].allowedRoutes.kinds': ignored('no kind of route is attached in this version'),
  'addresses[].type': honored(),
  'addresses[].value': honored(),
  'infrastructure.labels': honored({ isWhole: true }),
  'infrastructure.annotations': honored({ isWhole: true }),
  'infrastructure.parametersRef': refused('waypoints take no parameters in this version'),
  allowedListeners: ignored('ListenerSets are not read in this version'),
  tls: ignored('TLS from and to what is outside the mesh is not configured in this version'),
  defaultScope: ignored(noRoutes),
};

const gatewayClass: SupportTable = {
  controllerName: honored(),
  description: honored(),
  parametersRef: ignored('classes take no parameters in this version'),
};

/** Kinds of the Gateway API. */
export const gatewayApiKinds: readonly KindSupport[] = [
  { resource: resources.gatewayClasses, ...honored(), fields: gatewayClass },
  {
    resource: resources.gateways,
    ...honored({ why: 'waypoints only: class istio-waypoint; Gateways of class istio are not deployed' }),
    fields: gateway,
  },
  { resource: resources.httpRoutes, ...ignored(noRoutes) },
  { resource: resources.grpcRoutes, ...ignored(noRoutes) },
  { resource: resources.tlsRoutes, ...ignored(noRoutes) },
  { resource: resources.tcpRoutes, ...ignored(noRoutes) },
  { resource: resources.udpRoutes, ...ignored('UDP is not captured') },
  {
    resource: resources.listenerSets,
    ...ignored('a waypoint has the listeners of its Gateway only'),
  },
  {
    resource: resources.backendTlsPolicies,
    ...ignored('TLS to backends is not originated in this version'),
  },
  {
    resource: resources.referenceGrants,
    ...ignored('no reference across namespaces is followed in this version'),
  },
];
