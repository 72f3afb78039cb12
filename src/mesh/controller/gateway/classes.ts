/** Controllers behind the Gateway classes this project creates; the names are upstream's. */
export const gatewayController = 'istio.io/gateway-controller';
export const waypointController = 'istio.io/mesh-controller';
export const unmanagedController = 'istio.io/unmanaged-gateway';

/** A Gateway class as it is created when absent. Users may edit it afterwards. */
export interface BuiltInClass {
  readonly name: string;
  readonly controllerName: string;
  readonly description: string;
}

/** Every class this controller answers for. */
export const builtInClasses: readonly BuiltInClass[] = [
  { name: 'istio', controllerName: gatewayController, description: 'Ingress gateways of the mesh.' },
  {
    name: 'istio-waypoint',
    controllerName: waypointController,
    description: 'Waypoints: L7 proxies of services and workloads.',
  },
  {
    name: 'istio-remote',
    controllerName: unmanagedController,
    description: 'Gateways deployed elsewhere; nothing is created for them.',
  },
];

/**
 * Features of the Gateway API, by the controller of the class, as its conformance suite names them: what Gateways of
 * the class do today, each whole. Routing adds its own here.
 */
const features: Readonly<Record<string, readonly string[]>> = {
  // Ingress gateways are not deployed yet, and those elsewhere are what somebody else made of them.
  [gatewayController]: [],
  [unmanagedController]: [],
  [waypointController]: [
    // Calls to Services pass through the mesh, and through waypoints, unchanged; `HTTPRoute` is one of its own.
    'Mesh',
    // spec.infrastructure.labels and annotations are on all that is made for a waypoint.
    'GatewayInfrastructurePropagation',
  ],
};

/** What a GatewayClass says in `status.supportedFeatures`: sorted, as the Gateway API wants them. */
export function supportedFeatures(controllerName: string): { readonly name: string }[] {
  return (features[controllerName] ?? []).toSorted().map((name) => ({ name }));
}

/** Whether this project answers for classes of that controller. */
export function isOurController(controllerName: string): boolean {
  return builtInClasses.some((builtIn) => builtIn.controllerName === controllerName);
}
