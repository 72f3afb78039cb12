import { apiError, ApiError } from '../api-error.js';
import type { Store } from '../storage/store.js';
import type { AdmissionPlugin, AdmissionRequest } from '../registry/admission.js';
import { targetOf } from './match/rules.js';

const immortal: ReadonlySet<string> = new Set(['default', 'kube-system', 'kube-public']);

/** Nothing is created in a namespace that does not exist or is going away, and the system's own namespaces stay. */
export function namespaceLifecycle(store: Store): AdmissionPlugin {
  return {
    name: 'NamespaceLifecycle',
    admit: (request) => {
      const { operation, resource } = request;
      const { name } = targetOf(request);
      if (
        operation === 'DELETE' &&
        resource.group === '' &&
        resource.kind === 'Namespace' &&
        immortal.has(name)
      ) {
        throw apiError.forbidden(resource, name, 'this namespace may not be deleted');
      }
      assertLasting(request);
    },
    // While others looked at the object, its namespace may have gone.
    commit: assertLasting,
  };

  /** Throws unless the namespace in which something is created is there to stay. */
  function assertLasting(request: AdmissionRequest): void {
    const { operation, resource } = request;
    const { name, namespace } = targetOf(request);
    if (operation !== 'CREATE' || !resource.namespaced || namespace === undefined) return;
    const stored = store.get('namespaces', undefined, namespace);
    if (stored === undefined) throw apiError.notFound({ group: '', plural: 'namespaces' }, namespace);
    if (stored.metadata.deletionTimestamp === undefined) return;
    const refusal = apiError.forbidden(
      resource,
      name,
      `unable to create new content in namespace ${namespace} because it is being terminated`,
    );
    throw new ApiError(403, 'Forbidden', refusal.message, {
      ...refusal.details,
      causes: [
        {
          reason: 'NamespaceTerminating',
          message: `namespace ${namespace} is being terminated`,
          field: 'metadata.namespace',
        },
      ],
    });
  }
}
