import type { ApiObject } from '../object.js';
import { specOf } from '../registry/resource.js';
import type { Store } from '../storage/store.js';
import type { AdmissionPlugin } from '../registry/admission.js';

const storageDefault = [
  'storageclass.kubernetes.io/is-default-class',
  'storageclass.beta.kubernetes.io/is-default-class',
];
const ingressDefault = ['ingressclass.kubernetes.io/is-default-class'];
const betaClass = 'volume.beta.kubernetes.io/storage-class';
const ingressAnnotation = 'kubernetes.io/ingress.class';

/** The class marked as default; of several the newest, then the first by name. */
function defaultOf(classes: readonly ApiObject[], annotations: readonly string[]): ApiObject | undefined {
  const marked = classes.filter((c) => annotations.some((a) => c.metadata.annotations?.[a] === 'true'));
  return marked.sort((a, b) => {
    const [x, y] = [a.metadata.creationTimestamp, b.metadata.creationTimestamp];
    return x === y ? (a.metadata.name < b.metadata.name ? -1 : 1) : x > y ? -1 : 1;
  })[0];
}

/** Gives claims the default storage class, and ingresses the default ingress class. */
export function defaultClasses(store: Store): AdmissionPlugin {
  return {
    name: 'DefaultStorageClass',
    admit: ({ operation, resource, object, subresource }) => {
      if (operation !== 'CREATE' || (subresource ?? '') !== '') return;
      const { annotations } = object.metadata;
      if (resource.storage === 'persistentvolumeclaims') {
        const spec = specOf(object);
        if (spec.storageClassName !== undefined || annotations?.[betaClass] !== undefined) return;
        const chosen = defaultOf(store.list('storageclasses.storage.k8s.io'), storageDefault);
        if (chosen !== undefined) spec.storageClassName = chosen.metadata.name;
      } else if (resource.storage === 'ingresses.networking.k8s.io') {
        const spec = specOf(object);
        if (spec.ingressClassName !== undefined || annotations?.[ingressAnnotation] !== undefined) return;
        const chosen = defaultOf(store.list('ingressclasses.networking.k8s.io'), ingressDefault);
        if (chosen !== undefined) spec.ingressClassName = chosen.metadata.name;
      }
    },
  };
}
