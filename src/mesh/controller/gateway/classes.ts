/** Controllers behind the Gateway classes this project creates; the names are upstream's. */
export const GATEWAY_CONTROLLER = 'istio.io/gateway-controller';
export const WAYPOINT_CONTROLLER = 'istio.io/mesh-controller';
export const UNMANAGED_CONTROLLER = 'istio.io/unmanaged-gateway';

/** A Gateway class as it is created when absent. Users may edit it afterwards. */
export interface BuiltInClass {
  readonly name: string;
  readonly controllerName: string;
  readonly description: string;
}

/** Every class this controller answers for. */
export const BUILT_IN_CLASSES: readonly BuiltInClass[] = [
  { name: 'istio', controllerName: GATEWAY_CONTROLLER, description: 'Ingress gateways of the mesh.' },
  {
    name: 'istio-waypoint',
    controllerName: WAYPOINT_CONTROLLER,
    description: 'Waypoints: L7 proxies of services and workloads.',
  },
  {
    name: 'istio-remote',
    controllerName: UNMANAGED_CONTROLLER,
    description: 'Gateways deployed elsewhere; nothing is created for them.',
  },
];

/** Whether this project answers for classes of that controller. */
export function isOurController(controllerName: string): boolean {
  return BUILT_IN_CLASSES.some((builtIn) => builtIn.controllerName === controllerName);
}
