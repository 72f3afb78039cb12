import { persistentVolumeClaims } from '#base/kube/resource.js';
import { isAlreadyExists } from '#base/kube/api-error.js';
import type { OwnerReference, Pod } from '#base/kube/types.js';
import type { ObjectCache } from '../../cache/object-cache.js';
import type { StatefulSet } from '../../objects.js';
import type { PersistentVolumeClaim } from '../storage/storage-objects.js';
import type { ClusterControllerDeps } from '../controller.js';

/** The name of the claim that the pod of an ordinal gets for a claim template. */
export function claimName(set: StatefulSet, template: string, ordinal: number): string {
  return `${template}-${set.metadata.name}-${ordinal}`;
}

/** Keeps the volume claims of the pods of StatefulSets. They outlive the pods, so that a pod finds its data again. */
export class StatefulClaims {
  readonly #deps: ClusterControllerDeps;
  readonly #claims: ObjectCache<PersistentVolumeClaim>;

  constructor(deps: ClusterControllerDeps) {
    this.#deps = deps;
    this.#claims = deps.caches.of<PersistentVolumeClaim>(persistentVolumeClaims);
  }

  /** Makes the claims of one pod unless they are there from an earlier life. */
  async ensure(set: StatefulSet, ordinal: number): Promise<void> {
    const namespace = set.metadata.namespace ?? '';
    for (const template of set.spec.volumeClaimTemplates ?? []) {
      const name = claimName(set, template.metadata.name ?? '', ordinal);
      if (this.#claims.get(namespace, name) !== undefined) continue;
      const labels = { ...template.metadata.labels, ...set.spec.selector.matchLabels };
      try {
        const created = await this.#deps.client.create<PersistentVolumeClaim>(
          persistentVolumeClaims,
          {
            apiVersion: 'v1',
            kind: 'PersistentVolumeClaim',
            metadata: { name, namespace, labels, annotations: { ...template.metadata.annotations } },
            spec: template.spec,
          },
          { namespace },
        );
        this.#claims.remember(created);
        this.#note(set, 'Normal', 'SuccessfulCreate', `create Claim ${name} success`);
      } catch (error) {
        if (!isAlreadyExists(error)) throw error;
      }
    }
  }

  /**
   * Ties the claims of one pod to the set, or to the pod that is about to go, as
   * far as persistentVolumeClaimRetentionPolicy wants them deleted with it.
   */
  async retain(set: StatefulSet, ordinal: number, o: { readonly leaving: Pod | undefined }): Promise<void> {
    const { whenDeleted, whenScaled } = set.spec.persistentVolumeClaimRetentionPolicy ?? {};
    const wanted = [
      ...(whenDeleted === 'Delete' && (o.leaving === undefined || whenScaled !== 'Delete') ? [set] : []),
      ...(whenScaled === 'Delete' && o.leaving !== undefined ? [o.leaving] : []),
    ].map(
      ({ apiVersion, kind, metadata }): OwnerReference => ({
        apiVersion,
        kind,
        name: metadata.name,
        uid: metadata.uid ?? '',
      }),
    );
    for (const template of set.spec.volumeClaimTemplates ?? []) {
      const claim = this.#claims.get(
        set.metadata.namespace,
        claimName(set, template.metadata.name ?? '', ordinal),
      );
      if (claim !== undefined) await this.#setOwners(claim, { set, ordinal, wanted });
    }
  }

  async #setOwners(
    claim: PersistentVolumeClaim,
    o: { readonly set: StatefulSet; readonly ordinal: number; readonly wanted: readonly OwnerReference[] },
  ): Promise<void> {
    const { name, namespace, resourceVersion, ownerReferences: have = [] } = claim.metadata;
    const isOurs = (owner: OwnerReference): boolean =>
      owner.uid === o.set.metadata.uid ||
      (owner.kind === 'Pod' && owner.name === `${o.set.metadata.name}-${o.ordinal}`);
    const ownerReferences = [...have.filter((owner) => !isOurs(owner)), ...o.wanted];
    const uids = (owners: readonly OwnerReference[]): string => owners.map((owner) => owner.uid).join();
    if (uids(have) === uids(ownerReferences)) return;
    const patched = await this.#deps.client.patch<PersistentVolumeClaim>(
      { resource: persistentVolumeClaims, name, namespace },
      { metadata: { resourceVersion, ownerReferences } },
    );
    this.#claims.remember(patched);
  }

  #note(about: StatefulSet, type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#deps.events.record({ about, type, reason, message });
  }
}
