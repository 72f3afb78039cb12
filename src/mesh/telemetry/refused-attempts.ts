import { parseAuthority } from '#base/net/authority.js';
import type { AccessRecord } from './access-log.js';
import type { ResponseFlag } from './traffic-metrics.js';

/** One end of a refused attempt, as far as the proxy knew it. */
export interface AttemptPeer {
  /** Without a port at the source: each attempt has another one. */
  readonly address: string;
  readonly workload?: string;
  readonly namespace?: string;
  /** SPIFFE ID, only where a certificate proved it. */
  readonly identity?: string;
}

/** Connections of one source to one destination that were refused, or failed, for one reason. */
export interface RefusedAttempt {
  readonly direction: 'inbound' | 'outbound';
  /** As in the metrics: `DENY` by a policy, `CONNECT` nobody answered, and so on. */
  readonly flag: ResponseFlag;
  readonly reason: string;
  readonly source: AttemptPeer;
  readonly destination: AttemptPeer & { readonly service?: string };
  readonly count: number;
  /** RFC 3339. */
  readonly first: string;
  readonly last: string;
}

/** What is kept of a failed connection. */
export type FailedConnection = Pick<AccessRecord, 'direction' | 'sourceAddress' | 'destinationAddress'> &
  Partial<
    Pick<
      AccessRecord,
      'source' | 'sourceIdentity' | 'destination' | 'destinationIdentity' | 'service' | 'hboneAddress'
    >
  > & { readonly error: string };

interface Entry {
  readonly attempt: Omit<RefusedAttempt, 'count' | 'first' | 'last'>;
  count: number;
  readonly firstMs: number;
  lastMs: number;
}

/** Attempts that differ; each takes below 2 KB. */
const entriesMaxDefault = 500;
const keptMs = 10 * 60_000;
const reasonLengthMax = 300;

/**
 * The connections of the last ten minutes that a proxy refused or could not carry. Bounded whatever peers do: attempts
 * that are alike share an entry, and beyond the bound the one that is quiet for longest goes.
 */
export class RefusedAttempts {
  readonly #entriesMax: number;
  readonly #now: () => number;
  /** The one seen last stands last. */
  readonly #entries = new Map<string, Entry>();
  #forgotten = 0;

  /** `now` in milliseconds since 1970. */
  constructor({
    entriesMax = entriesMaxDefault,
    now = Date.now,
  }: { entriesMax?: number; now?: () => number } = {}) {
    this.#entriesMax = entriesMax;
    this.#now = now;
  }

  /** Counts one. */
  add(failed: FailedConnection, flag: ResponseFlag): void {
    const attempt = attemptOf(failed, flag);
    const key = JSON.stringify(attempt);
    const nowMs = this.#now();
    const known = this.#entries.get(key);
    this.#entries.delete(key);
    const isOld = known !== undefined && nowMs - known.lastMs > keptMs;
    const entry = known === undefined || isOld ? { attempt, count: 0, firstMs: nowMs, lastMs: nowMs } : known;
    entry.count += 1;
    entry.lastMs = nowMs;
    this.#entries.set(key, entry);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size <= this.#entriesMax || oldest === undefined) return;
    this.#entries.delete(oldest);
    this.#forgotten += 1;
  }

  /** Those of the last ten minutes, the newest first; `forgotten` counts entries that made room for others. */
  view(): { readonly attempts: readonly RefusedAttempt[]; readonly forgotten: number } {
    const since = this.#now() - keptMs;
    for (const [key, { lastMs }] of this.#entries) if (lastMs < since) this.#entries.delete(key);
    const attempts = [...this.#entries.values()].reverse().map(({ attempt, count, firstMs, lastMs }) => ({
      ...attempt,
      count,
      first: new Date(firstMs).toISOString(),
      last: new Date(lastMs).toISOString(),
    }));
    return { attempts, forgotten: this.#forgotten };
  }
}

function attemptOf(failed: FailedConnection, flag: ResponseFlag): Entry['attempt'] {
  const { direction, error, source, destination, service } = failed;
  const destinationAddress = failed.hboneAddress ?? failed.destinationAddress;
  return {
    direction,
    flag,
    reason: error.slice(0, reasonLengthMax),
    source: peerOf(
      parseAuthority(failed.sourceAddress)?.host ?? failed.sourceAddress,
      source,
      failed.sourceIdentity,
    ),
    destination: {
      ...peerOf(destinationAddress, destination, failed.destinationIdentity),
      ...(service === undefined ? {} : { service }),
    },
  };
}

function peerOf(address: string, peer: AccessRecord['source'], identity: string | undefined): AttemptPeer {
  return {
    address,
    ...(peer === undefined ? {} : { workload: peer.workload, namespace: peer.namespace }),
    ...(identity === undefined ? {} : { identity }),
  };
}
