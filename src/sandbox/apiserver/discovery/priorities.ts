/** How early discovery lists a group, and its versions: [group, version]. Custom resources come after all of these. */
const priorities: Readonly<Record<string, readonly [number, number]>> = {
  '': [18_000, 1],
  apps: [17_800, 15],
  'events.k8s.io': [17_750, 15],
  'authentication.k8s.io': [17_700, 15],
  'authorization.k8s.io': [17_600, 15],
  autoscaling: [17_500, 15],
  batch: [17_400, 15],
  'certificates.k8s.io': [17_300, 15],
  'networking.k8s.io': [17_200, 15],
  policy: [17_100, 15],
  'rbac.authorization.k8s.io': [17_000, 15],
  'storage.k8s.io': [16_800, 15],
  'admissionregistration.k8s.io': [16_700, 15],
  'apiextensions.k8s.io': [16_700, 15],
  'scheduling.k8s.io': [16_600, 15],
  'coordination.k8s.io': [16_500, 15],
  'node.k8s.io': [16_300, 15],
  'discovery.k8s.io': [16_200, 15],
  'flowcontrol.apiserver.k8s.io': [16_100, 21],
};
/** The priorities of a group that CRDs make. */
const customPriority = [1000, 100] as const;

/** How early discovery lists a group of this server, and one of its versions. Higher is earlier. */
export function groupPriorityOf(group: string): readonly [group: number, version: number] {
  return priorities[group] ?? customPriority;
}
