import type { LabelSelector } from './types.js';

/** Label and annotation names of the mesh; upstream's, so that existing YAML works. */
export const dataplaneMode = 'istio.io/dataplane-mode';
export const useWaypoint = 'istio.io/use-waypoint';
export const useWaypointNamespace = 'istio.io/use-waypoint-namespace';
export const waypointFor = 'istio.io/waypoint-for';
export const revision = 'istio.io/rev';
/** Annotation the CNI agent writes: `enabled`, `pending`, or absent. */
export const redirection = 'ambient.istio.io/redirection';
export const sidecarStatus = 'sidecar.istio.io/status';
export const gatewayName = 'gateway.networking.k8s.io/gateway-name';
export const gatewayClassName = 'gateway.networking.k8s.io/gateway-class-name';
export const gatewayManaged = 'gateway.istio.io/managed';
export const waypointClass = 'istio-waypoint';

/** Whether `labels` satisfy `selector`. An absent selector matches nothing, an empty one everything. */
export function labelSelectorMatches(
  selector: LabelSelector | undefined,
  labels: Readonly<Record<string, string>> | undefined,
): boolean {
  if (selector === undefined) return false;
  const have = labels ?? {};
  const isEveryLabelEqual = Object.entries(selector.matchLabels ?? {}).every(([k, v]) => have[k] === v);
  return (
    isEveryLabelEqual &&
    (selector.matchExpressions ?? []).every((requirement) =>
      requirementMatches(requirement, have[requirement.key]),
    )
  );
}

/** Whether a value satisfies one requirement of a label or node selector; an unknown operator never does. */
export function requirementMatches(
  requirement: { readonly operator: string; readonly values?: readonly string[] },
  value: string | undefined,
): boolean {
  const values = requirement.values ?? [];
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
      return value !== undefined && Number(value) > Number(values[0]);
    case 'Lt':
      return value !== undefined && Number(value) < Number(values[0]);
    default:
      return false;
  }
}
