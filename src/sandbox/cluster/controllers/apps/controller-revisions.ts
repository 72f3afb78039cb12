import { isAlreadyExists } from '#base/kube/api-error.js';
import type { KubeObject, PodTemplateSpec } from '#base/kube/types.js';
import { controllerOf, type ObjectCache } from '../../cache/object-cache.js';
import { type ControllerRevision, controllerRevisions } from '../../objects.js';
import type { ClusterControllerDeps } from '../controller.js';
import { ownerReference } from '../pod-control.js';
import { canonicalJson, hashOf } from '../template-hash.js';

const historyLimitDefault = 10;
/** Names tried when the hash of a template is taken by another one. */
const collisionsMax = 10;

/** An owner of pods whose templates are kept as ControllerRevisions: DaemonSet, StatefulSet. */
export interface Versioned extends KubeObject {
  spec: { template: PodTemplateSpec; revisionHistoryLimit?: number };
}

/**
 * Keeps the templates an owner has had as ControllerRevisions, numbered as
 * `kubectl rollout history` shows them and `kubectl rollout undo` applies them.
 */
export class RevisionHistory {
  readonly #deps: ClusterControllerDeps;
  readonly #cache: ObjectCache<ControllerRevision>;

  constructor(deps: ClusterControllerDeps) {
    this.#deps = deps;
    this.#cache = deps.caches.of<ControllerRevision>(controllerRevisions);
  }

  /** Revisions of an owner, oldest first. */
  of(owner: KubeObject): ControllerRevision[] {
    return this.#cache
      .ownedBy(owner.metadata.uid)
      .filter((revision) => revision.metadata.deletionTimestamp === undefined)
      .toSorted((a, b) => a.revision - b.revision);
  }

  /**
   * The revision of the owner's template: a new one, or an earlier one that
   * becomes the newest again. `labels` tell whose it is.
   */
  async current(owner: Versioned, labels: Readonly<Record<string, string>>): Promise<ControllerRevision> {
    const data = revisionData(owner.spec.template);
    const all = this.of(owner);
    const newest = all.at(-1)?.revision ?? 0;
    const known = all.findLast((revision) => canonicalJson(revision.data) === canonicalJson(data));
    if (known === undefined) return this.#create(owner, { data, labels, revision: newest + 1 });
    return known.revision === newest ? known : this.#renumber(known, newest + 1);
  }

  /** Deletes the oldest revisions beyond the owner's limit, except those whose names are still `inUse`. */
  async prune(owner: Versioned, inUse: ReadonlySet<string>): Promise<void> {
    const limit = owner.spec.revisionHistoryLimit ?? historyLimitDefault;
    const unused = this.of(owner).filter((revision) => !inUse.has(revision.metadata.name));
    for (const revision of unused.slice(0, Math.max(0, unused.length - limit))) {
      const { name, namespace } = revision.metadata;
      await this.#deps.client.delete({ resource: controllerRevisions, name, namespace });
      this.#cache.rememberDeletion(revision);
    }
  }

  async #create(
    owner: Versioned,
    o: {
      readonly data: object;
      readonly labels: Readonly<Record<string, string>>;
      readonly revision: number;
    },
  ): Promise<ControllerRevision> {
    const namespace = owner.metadata.namespace ?? '';
    for (let collisions = 0; collisions < collisionsMax; collisions++) {
      const hash = hashOf(collisions === 0 ? owner.spec.template : [owner.spec.template, collisions]);
      const name = `${owner.metadata.name}-${hash}`;
      const body: ControllerRevision = {
        apiVersion: 'apps/v1',
        kind: 'ControllerRevision',
        metadata: {
          name,
          namespace,
          labels: { ...o.labels, [revisionHashLabel]: hash },
          annotations: { ...owner.metadata.annotations },
          ownerReferences: [ownerReference(owner)],
        },
        data: o.data,
        revision: o.revision,
      };
      try {
        const created = await this.#deps.client.create<ControllerRevision>(controllerRevisions, body, {
          namespace,
        });
        this.#cache.remember(created);
        return created;
      } catch (error) {
        if (!isAlreadyExists(error)) throw error;
        const ref = { resource: controllerRevisions, name, namespace };
        const existing = await this.#deps.client.get<ControllerRevision>(ref);
        const isOurs =
          controllerOf(existing)?.uid === owner.metadata.uid &&
          canonicalJson(existing.data) === canonicalJson(o.data);
        if (!isOurs) continue;
        // The cache was behind.
        this.#cache.remember(existing);
        return existing;
      }
    }
    throw new Error(`no free name for a revision of ${owner.kind} ${namespace}/${owner.metadata.name}`);
  }

  async #renumber(revision: ControllerRevision, number: number): Promise<ControllerRevision> {
    const { name, namespace, resourceVersion } = revision.metadata;
    const patched = await this.#deps.client.patch<ControllerRevision>(
      { resource: controllerRevisions, name, namespace },
      { metadata: { resourceVersion }, revision: number },
    );
    this.#cache.remember(patched);
    return patched;
  }
}

/** Label of a revision and of its pods. */
export const revisionHashLabel = 'controller-revision-hash';

/** The patch that makes an owner's template what it was in this revision, in the order in which clients compare its bytes. */
function revisionData(template: PodTemplateSpec): object {
  return { spec: { template: inKeyOrder({ ...template, $patch: 'replace' }) } };
}

function inKeyOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inKeyOrder);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, each]): [string, unknown] => [key, inKeyOrder(each)]));
}

/** The template a revision holds; undefined when its data are not of that shape. */
export function templateOf(revision: ControllerRevision): PodTemplateSpec | undefined {
  const { data } = revision;
  if (!hasKey(data, 'spec') || !hasKey(data.spec, 'template')) return undefined;
  const { template } = data.spec;
  if (!hasKey(template, 'spec')) return undefined;
  const { $patch: _, ...rest } = template as typeof template & { $patch?: unknown };
  // Written by this controller, or by kubectl in its shape.
  return rest as unknown as PodTemplateSpec;
}

function hasKey<K extends string>(value: unknown, key: K): value is Record<K, unknown> {
  return typeof value === 'object' && value !== null && key in value;
}
