import type { PodTemplateSpec } from '#base/kube/types.js';
import type { StatefulSet } from '../../objects.js';
import { type NewPod, podFromTemplate } from '../pod-control.js';
import { revisionHashLabel } from './controller-revisions.js';
import { claimName } from './stateful-claims.js';

/** The pod of one ordinal, made from the template of a revision. */
export function podFor(o: {
  readonly set: StatefulSet;
  readonly ordinal: number;
  readonly template: PodTemplateSpec;
  readonly revision: string;
}): NewPod {
  const { set, ordinal } = o;
  const pod = podFromTemplate(o.template);
  const name = `${set.metadata.name}-${ordinal}`;
  const claimed = (set.spec.volumeClaimTemplates ?? []).map((template) => template.metadata.name ?? '');
  const volumes = (pod.spec.volumes ?? []).filter((volume) => !claimed.includes(volume.name));
  for (const claim of claimed) {
    volumes.push({ name: claim, persistentVolumeClaim: { claimName: claimName(set, claim, ordinal) } });
  }
  return {
    metadata: {
      ...pod.metadata,
      name,
      labels: {
        ...pod.metadata.labels,
        [revisionHashLabel]: o.revision,
        'statefulset.kubernetes.io/pod-name': name,
        'apps.kubernetes.io/pod-index': String(ordinal),
      },
    },
    spec: {
      ...pod.spec,
      hostname: name,
      ...(set.spec.serviceName === undefined || set.spec.serviceName === ''
        ? {}
        : { subdomain: set.spec.serviceName }),
      ...(volumes.length === 0 ? {} : { volumes }),
    },
  };
}
