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

/** Whether this project answers for classes of that controller. */
export function isOurController(controllerName: string): boolean {
  return builtInClasses.some((builtIn) => builtIn.controllerName === controllerName);
}
