import { setTimeout as delay } from 'node:timers/promises';
import { WorkQueue } from '#base/kube/work-queue.js';
import { messageOf } from '#base/errors/mesh-error.js';
import { isConflict, isNotFound } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { resourceId } from '../../base/discovery.js';
import type { OwnerReference } from '#base/kube/types.js';
import { createLogger } from '#base/telemetry/log.js';
import type { EventRecorder } from '../../base/event-recorder.js';
import type { MetadataWatches } from '../metadata/metadata-watches.js';
import type { MetadataChange } from '../metadata/resource-monitors.js';
import { LiveDependents } from './live-dependents.js';
import { OwnerLookup } from './owner-lookup.js';
import {
  foregroundFinalizer,
  type GraphNode,
  isDeletingDependents,
  isNamedBy,
  isOrphaning,
  graphNodeOf,
  orphanFinalizer,
  OwnershipGraph,
} from './ownership-graph.js';

const workersMax = 8;
/** Unresolved objects are looked at again this often. */
const resyncMs = 30_000;

/**
 * Deletes what lost its last owner, deletes dependents before an owner that is
 * deleted in the foreground, and releases those of an owner that is deleted alone.
 *
 * A graph of all objects is kept from metadata watches of every kind that can be
 * deleted. The graph says where to look; nothing is deleted unless the API server
 * itself said that the owner is gone, and only in the version that was judged.
 */
export class GarbageCollector {
  readonly #client: KubeClient;
  readonly #signal: AbortSignal;
  readonly #events: EventRecorder;
  readonly #log = createLogger('cluster::garbage-collector');
  readonly #graph = new OwnershipGraph();
  readonly #watches: MetadataWatches;
  readonly #owners: OwnerLookup;
  readonly #queue: WorkQueue;
  readonly #live: LiveDependents;

  constructor(o: {
    client: KubeClient;
    watches: MetadataWatches;
    signal: AbortSignal;
    events: EventRecorder;
  }) {
    this.#client = o.client;
    this.#watches = o.watches;
    this.#signal = o.signal;
    this.#events = o.events;
    o.watches.onChange((change) => this.#take(change));
    // References to a kind that was not served may be understood now.
    o.watches.onServed(() => this.#resync());
    this.#owners = new OwnerLookup({ client: o.client, graph: this.#graph, served: () => o.watches.served });
    this.#live = new LiveDependents({
      client: o.client,
      signal: o.signal,
      kinds: () => o.watches.answering,
    });
    this.#queue = new WorkQueue({
      reconcile: (uid) => this.#process(uid),
      workersMax,
      onError: (uid, error, attempt) => {
        if (isConflict(error) || isNotFound(error)) return;
        const node = this.#graph.get(uid);
        const fields = {
          object: node === undefined ? uid : `${node.resource.plural}/${node.name}`,
          namespace: node?.namespace,
          error: messageOf(error),
        };
        if (attempt > 2) this.#log.warn('garbage collection failed', fields);
        else this.#log.debug('garbage collection failed', fields);
      },
    });
  }

  /** Collects until the signal aborts. */
  async run(): Promise<void> {
    await this.#watches.start();
    this.#queue.start(this.#signal);
    while (!this.#signal.aborted) {
      this.#resync();
      await delay(resyncMs, undefined, { signal: this.#signal, ref: false }).catch(() => undefined); // aborted
    }
  }

  /** Objects whose owners were never seen, and owners that wait for us: a missed event costs time only. */
  #resync(): void {
    for (const node of this.#graph.all()) {
      const isWaiting = isDeletingDependents(node) || isOrphaning(node);
      if (isWaiting || node.owners.some((o) => this.#isUnsettled(o, node))) this.#queue.add(node.uid);
    }
  }

  #take({ resource, metadata, isGone }: MetadataChange): void {
    const node = graphNodeOf(resource, metadata);
    if (isGone) {
      const last = this.#graph.remove(node.uid) ?? node;
      for (const dependent of this.#graph.dependentsOf(node.uid)) this.#queue.add(dependent.uid);
      this.#wakeOwners(last);
      return;
    }
    const previous = this.#graph.put(node);
    if (previous !== undefined) this.#wakeOwners(previous);
    if (node.isBeingDeleted) {
      if (isDeletingDependents(node))
        for (const dependent of this.#graph.dependentsOf(node.uid)) this.#queue.add(dependent.uid);
      if (isDeletingDependents(node) || isOrphaning(node)) this.#queue.add(node.uid);
    } else if (node.owners.some((o) => this.#isUnsettled(o, node))) this.#queue.add(node.uid);
  }

  /** An owner that waits for its dependents may have waited for this one. */
  #wakeOwners(node: GraphNode): void {
    for (const { uid } of node.owners) {
      const owner = this.#graph.get(uid);
      if (owner !== undefined && isDeletingDependents(owner)) this.#queue.add(uid);
    }
  }

  /** An owner that is not known, or that asks for its dependents to go. */
  #isUnsettled(reference: OwnerReference, dependent: GraphNode): boolean {
    const owner = this.#graph.get(reference.uid);
    return owner === undefined || !isNamedBy(reference, owner, dependent) || isDeletingDependents(owner);
  }

  async #process(uid: string): Promise<void> {
    const node = this.#graph.get(uid);
    if (node === undefined) return;
    if (isOrphaning(node)) return this.#orphanDependents(node);
    if (isDeletingDependents(node)) return this.#awaitDependents(node);
    if (node.isBeingDeleted || node.owners.length === 0) return;
    await this.#judge(node);
  }

  /** An object with owners: does one of them still count? */
  async #judge(node: GraphNode): Promise<void> {
    const solid = new Set<string>();
    const waiting = new Set<string>();
    for (const owner of node.owners) {
      const state = await this.#owners.stateOf(owner, node);
      // It may exist: the object stays until somebody can tell.
      if (state === 'unknown') return;
      if (state === 'solid') solid.add(owner.uid);
      if (state === 'waiting') waiting.add(owner.uid);
      if (state === 'absent') this.#explainAbsence(owner.uid, node);
    }
    if (solid.size === node.owners.length) return;
    if (solid.size > 0) {
      await this.#setOwners(
        node,
        node.owners.filter((o) => solid.has(o.uid)),
      );
      return;
    }
    const dependents = this.#graph.dependentsOf(node.uid);
    if (waiting.size === 0 || dependents.length === 0) return this.#delete(node, 'Background');
    // Objects that own each other in a circle would wait for each other for ever.
    const isCircle = dependents.some(isDeletingDependents);
    if (isCircle && node.owners.some((o) => o.blockOwnerDeletion === true)) {
      const unblocked = node.owners.map((o) => ({ ...o, blockOwnerDeletion: false }));
      return this.#setOwners(node, unblocked); // comes back changed, and is judged again
    }
    await this.#delete(node, 'Foreground');
  }

  /** Owner deleted in the foreground: it goes when nothing that blocks it is left. */
  async #awaitDependents(node: GraphNode): Promise<void> {
    const dependents = this.#graph.dependentsOf(node.uid);
    const isBlocking = (d: GraphNode): boolean =>
      d.owners.some((o) => o.uid === node.uid && o.blockOwnerDeletion === true);
    if (!dependents.some(isBlocking)) await this.#removeFinalizer(node, foregroundFinalizer);
    else for (const d of dependents) if (!d.isBeingDeleted) this.#queue.add(d.uid);
  }

  /** Owner deleted alone: its dependents are released first, all that there were when we saw the deletion. */
  async #orphanDependents(node: GraphNode): Promise<void> {
    const answering = new Set(this.#watches.answering.map(resourceId));
    // What cannot be asked for now must not lose its owner unreleased: changing it fails, and is tried again.
    const silent = this.#graph
      .dependentsOf(node.uid)
      .filter(({ resource }) => !answering.has(resourceId(resource)));
    for (const d of [...silent, ...(await this.#live.of(node))])
      await this.#setOwners(
        d,
        d.owners.filter((o) => o.uid !== node.uid),
      );
    await this.#removeFinalizer(node, orphanFinalizer);
  }

  async #setOwners(node: GraphNode, owners: GraphNode['owners']): Promise<void> {
    await this.#patch(node, { ownerReferences: owners.length === 0 ? null : owners });
  }

  async #removeFinalizer(node: GraphNode, finalizer: string): Promise<void> {
    const finalizers = node.finalizers.filter((f) => f !== finalizer);
    await this.#patch(node, { finalizers: finalizers.length === 0 ? null : finalizers });
  }

  /** Changes metadata of the very version that was judged; a conflict means judging again. */
  async #patch(node: GraphNode, metadata: object): Promise<void> {
    const { resource, namespace, name, uid, resourceVersion } = node;
    try {
      await this.#client.patch(
        { resource, namespace, name },
        { metadata: { uid, resourceVersion, ...metadata } },
      );
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** A finalizer that the object carries for its own dependents goes before what its owners ask for. */
  async #delete(node: GraphNode, byOwners: 'Background' | 'Foreground'): Promise<void> {
    const { resource, namespace, name, uid, resourceVersion, finalizers } = node;
    const propagation = finalizers.includes(orphanFinalizer)
      ? 'Orphan'
      : finalizers.includes(foregroundFinalizer)
        ? 'Foreground'
        : byOwners;
    await this.#client.delete(
      { resource, namespace, name },
      { propagation, preconditions: { uid, resourceVersion } },
    );
  }

  /** A reference into another namespace is a mistake that looks like data loss to its author. */
  #explainAbsence(ownerUid: string, node: GraphNode): void {
    const elsewhere = this.#graph.get(ownerUid);
    if (elsewhere?.namespace === undefined || elsewhere.namespace === node.namespace) return;
    const { group, version, kind } = node.resource;
    const { name, namespace, uid } = node;
    this.#events.record({
      about: {
        apiVersion: group === '' ? version : `${group}/${version}`,
        kind,
        metadata: { name, uid, ...(namespace === undefined ? {} : { namespace }) },
      },
      type: 'Warning',
      reason: 'OwnerRefInvalidNamespace',
      message: `ownerRef ${elsewhere.resource.kind} ${elsewhere.name}, uid: ${ownerUid} does not exist in namespace "${namespace ?? ''}"`,
    });
  }
}
