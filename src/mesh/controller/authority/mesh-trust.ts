import { pause } from '#base/system/until.js';
import { messageOf } from '#base/errors/mesh-error.js';
import type { Logger } from '#base/telemetry/log.js';
import type { CertificateAuthority } from '../../identity/ca/authority.js';
import {
  allDistributed,
  bundlePem,
  isOver,
  maySign,
  type TrustRecord,
  withSigner,
} from '../../identity/ca/trust-record.js';
import type { TrustStore } from './trust-store.js';

/** How often replicas look at what the others wrote; while a root is distributed, and otherwise. */
const distributingMs = 1_000;
const restMs = 10_000;
/** How long proxies that do not answer may hold up a new authority. */
const distributionDeadlineMs = 120_000;

export interface MeshTrustOptions {
  readonly store: Pick<TrustStore, 'read' | 'update'>;
  /** Longest life of a certificate, in milliseconds. */
  readonly leafTtlMs: number;
  /** Proxies that are not known to trust the present roots, by name. */
  readonly waitingFor: () => readonly string[];
  /** The roots, or who signs, changed. */
  readonly onChange: () => void;
  readonly log: Logger;
  readonly now?: () => number;
}

/**
 * The roots that the mesh trusts, and who signs under them.
 *
 * A change of the authority is staged, so that no handshake fails: its root is trusted first, next to the old one;
 * when every proxy has it (or after two minutes, said in the log) certificates are issued under it; the old root stays
 * trusted until the last certificate under it has run out. Until then the former authority signs, as long as this
 * process still has its key; a restarted controller has not, and makes requests for certificates wait.
 */
export class MeshTrust {
  readonly #options: MeshTrustOptions;
  #record: TrustRecord = [];
  #signer: CertificateAuthority | undefined;
  #next: CertificateAuthority | undefined;
  #waitingSinceMs: number | undefined;

  constructor(options: MeshTrustOptions) {
    this.#options = options;
  }

  /** Everything that is trusted, the present authority's roots first. */
  get rootsPem(): string {
    return bundlePem(this.#record);
  }

  /** Who signs; undefined while the proxies do not know the authority's root yet. */
  get signer(): CertificateAuthority | undefined {
    return this.#signer;
  }

  /**
   * The root under which certificates are issued. While nobody signs it stays the former one: proxies have no reason to
   * renew yet.
   */
  get signingRootPem(): string {
    const former = this.#record.find(({ isDistributed }) => isDistributed)?.pem;
    return this.#signer?.signingRootPem ?? former ?? this.#next?.signingRootPem ?? '';
  }

  /** Takes an authority over: the first one, or the one that shall follow the present one. Rejects when the API server is away. */
  async adopt(authority: CertificateAuthority): Promise<void> {
    const { store, leafTtlMs } = this.#options;
    const nowMs = this.#now();
    const record = await store.update((present) =>
      withSigner(present, { rootsPem: authority.rootPem, leafTtlMs, nowMs }),
    );
    this.#next = authority;
    this.#set(record);
    if (this.#next !== undefined)
      this.#options.log.info('a new certificate authority: its root is distributed before it signs');
  }

  /** Follows the other replicas and the proxies until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#step().catch((error: unknown) =>
        this.#options.log.warn('the roots of the mesh could not be followed', { error: messageOf(error) }),
      );
      const pauseMs = this.#isComplete ? restMs : distributingMs;
      await pause(pauseMs, signal);
    }
  }

  get #isComplete(): boolean {
    return this.#record.every(({ isDistributed }) => isDistributed);
  }

  async #step(): Promise<void> {
    const { store, log, waitingFor } = this.#options;
    const nowMs = this.#now();
    this.#set(await store.read());
    if (this.#record.some((root) => isOver(root, nowMs)))
      this.#set(await store.update((record) => record.filter((root) => !isOver(root, nowMs))));
    if (this.#isComplete) {
      this.#waitingSinceMs = undefined;
      return;
    }
    // Any replica may find that the proxies are ready: they are connected to one of them only.
    this.#waitingSinceMs ??= nowMs;
    const missing = waitingFor();
    const isLate = nowMs - this.#waitingSinceMs > distributionDeadlineMs;
    if (missing.length > 0 && !isLate) return;
    if (missing.length > 0)
      log.warn('proxies that do not know the new root: calls with them fail until they fetch certificates', {
        proxies: missing.join(', '),
      });
    this.#set(await store.update(allDistributed));
  }

  #set(record: TrustRecord): void {
    const before = `${this.rootsPem}${this.signingRootPem}`;
    this.#record = record;
    if (this.#next !== undefined && maySign(record, this.#next.rootPem)) {
      this.#signer = this.#next;
      this.#next = undefined;
      this.#options.log.info('the certificate authority signs');
    }
    if (`${this.rootsPem}${this.signingRootPem}` !== before) this.#options.onChange();
  }

  #now(): number {
    return (this.#options.now ?? Date.now)();
  }
}
