import { pause } from '#base/system/until.js';
import { isAlreadyExists, isConflict } from '#base/kube/api-error.js';
import { messageOf } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { leases } from '#base/kube/resource.js';
import type { Lease } from '#base/kube/types.js';
import type { Logger } from '#base/telemetry/log.js';

/** A leader that does not renew for this long is replaced, in seconds. */
const leaseSeconds = 15;
const renewMs = 5_000;
const retryMs = 2_000;
/** A leader that could not renew for this long stops leading: well before its lease runs out. */
const giveUpMs = leaseSeconds * 1_000 - renewMs;

export interface LeadershipDeps {
  readonly client: KubeClient;
  readonly log: Logger;
  readonly namespace: string;
  /** Name of the Lease. */
  readonly name: string;
  /** This replica: the pod's name, so that a restarted container resumes its own lease at once. */
  readonly identity: string;
  /** The duty. It must end when its signal does. */
  readonly lead: (signal: AbortSignal) => Promise<void>;
}

/**
 * Runs a duty on one replica at a time. States: waiting (another holds the lease) -> leading (holds
 * and renews it; the duty runs) -> waiting when the lease was lost, or released when stopped.
 */
export async function runAsLeader(deps: LeadershipDeps, signal: AbortSignal): Promise<void> {
  let seen: { readonly version: string; readonly atMs: number } | undefined;
  while (!signal.aborted) {
    const held = await tryAcquire(deps, seen);
    if (held.isOurs) {
      await leadWhileHeld(deps, signal);
    } else {
      // Expiry is judged by when this replica last saw the lease change, not by other clocks.
      if (seen?.version !== held.version) seen = { version: held.version, atMs: Date.now() };
    }
    await pause(retryMs, signal);
  }
}

interface Held {
  readonly isOurs: boolean;
  /** Another replica is known to hold the lease; false also when that could not be found out. */
  readonly isHeldByOther: boolean;
  readonly version: string;
}

async function tryAcquire(
  deps: LeadershipDeps,
  seen: { readonly version: string; readonly atMs: number } | undefined,
): Promise<Held> {
  const ref = { resource: leases, namespace: deps.namespace, name: deps.name };
  try {
    const current = await deps.client.getOrUndefined<Lease>(ref);
    if (current === undefined) {
      const created = await deps.client.create<Lease>(leases, leaseOf(deps, undefined), {
        namespace: deps.namespace,
      });
      return { isOurs: true, isHeldByOther: false, version: created.metadata.resourceVersion ?? '' };
    }
    const version = current.metadata.resourceVersion ?? '';
    const holder = current.spec?.holderIdentity ?? '';
    const ttlMs = (current.spec?.leaseDurationSeconds ?? leaseSeconds) * 1000;
    const hasExpired = seen?.version === version && Date.now() - seen.atMs > ttlMs;
    if (holder !== '' && holder !== deps.identity && !hasExpired) {
      return { isOurs: false, isHeldByOther: true, version };
    }
    await deps.client.update(ref, leaseOf(deps, current));
    return { isOurs: true, isHeldByOther: false, version };
  } catch (error) {
    if (!isConflict(error) && !isAlreadyExists(error)) {
      deps.log.warn('the leader lease cannot be read or taken', {
        lease: deps.name,
        error: messageOf(error),
      });
    }
    return { isOurs: false, isHeldByOther: false, version: seen?.version ?? '' };
  }
}

async function leadWhileHeld(deps: LeadershipDeps, signal: AbortSignal): Promise<void> {
  deps.log.info('leading', { lease: deps.name });
  const duty = new AbortController();
  const both = AbortSignal.any([signal, duty.signal]);
  const work = deps.lead(both).catch((error: unknown) => {
    if (!both.aborted) deps.log.error('a leader duty failed', { lease: deps.name, error: messageOf(error) });
    duty.abort();
  });
  // Ends the duty before anybody else may begin it, also while a renewal hangs.
  let giveUp = setTimeout(() => duty.abort(), giveUpMs);
  while (!both.aborted) {
    await pause(renewMs, both);
    if (both.aborted) break;
    const askedMs = Date.now();
    const { isOurs, isHeldByOther } = await tryAcquire(deps, undefined);
    if (isHeldByOther) duty.abort();
    if (!isOurs || both.aborted) continue;
    clearTimeout(giveUp);
    giveUp = setTimeout(() => duty.abort(), Math.max(0, askedMs + giveUpMs - Date.now()));
  }
  clearTimeout(giveUp);
  duty.abort();
  await work;
  await release(deps);
  deps.log.info('no longer leading', { lease: deps.name });
}

async function release(deps: LeadershipDeps): Promise<void> {
  const ref = { resource: leases, namespace: deps.namespace, name: deps.name };
  try {
    const current = await deps.client.getOrUndefined<Lease>(ref);
    if (current?.spec?.holderIdentity !== deps.identity) return;
    await deps.client.update(ref, { ...current, spec: { ...current.spec, holderIdentity: '' } });
  } catch (error) {
    // The lease runs out by itself.
    deps.log.debug('the leader lease was not released', { lease: deps.name, error: messageOf(error) });
  }
}

function leaseOf(deps: LeadershipDeps, current: Lease | undefined): Lease {
  const now = new Date().toISOString().replace('Z', '000Z');
  const isRenewal = current?.spec?.holderIdentity === deps.identity;
  return {
    ...current,
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: current?.metadata ?? { name: deps.name, namespace: deps.namespace },
    spec: {
      holderIdentity: deps.identity,
      leaseDurationSeconds: leaseSeconds,
      acquireTime: isRenewal ? (current.spec?.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: (current?.spec?.leaseTransitions ?? -1) + (isRenewal ? 0 : 1),
    },
  };
}
