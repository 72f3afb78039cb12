import type { Duplex } from 'node:stream';
import { messageOf } from '#base/errors/mesh-error.js';
import { authorize, denialDetails } from '../../policy/l7/authorize.js';
import type { L7PolicyStore } from '../../policy/l7/l7-policy-store.js';
import { breakOff } from '../../system/break-off.js';
import { copyBoth } from '../../system/copy.js';
import { type ConnectionContext, serviceOf, connectionAttributes } from '../connection/connection-context.js';
import { recordedBytes, type TcpConnectionRecord, type Telemetry } from '../telemetry/request-record.js';
import type { Backends } from '../upstream/backends.js';
import type { Dialer } from '../upstream/dialer.js';
import { DialError } from '../upstream/dialer.js';
import type { Endpoint } from '../upstream/endpoint.js';

/** What passing TCP through needs. */
export interface TcpProxyDeps {
  readonly policies: L7PolicyStore;
  readonly backends: Backends;
  readonly dialer: Dialer;
  readonly telemetry: Pick<Telemetry, 'connectionOpened' | 'connectionClosed'>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** The answer to a CONNECT for a connection that cannot be made. */
export interface TcpRefusal {
  readonly status: 401 | 503;
  readonly reason: string;
}

/** A backend ready to take a client's bytes. */
export interface TcpPath {
  readonly backend: Duplex;
  readonly record: TcpConnectionRecord;
  readonly release: () => void;
  /** What a client said before it ended its side. */
  readonly head?: Buffer;
}

/** Endpoints tried for one connection. */
const connectAttemptsMax = 3;

/**
 * Passes connections that are not HTTP through: policy as far as a connection can answer it, one
 * endpoint, bytes both ways. A connection that policy stops allowing while it lives is closed.
 */
export class TcpProxy {
  readonly #deps: TcpProxyDeps;

  readonly #live = new Map<Duplex, { context: ConnectionContext; record: TcpConnectionRecord }>();

  constructor(deps: TcpProxyDeps) {
    this.#deps = deps;

    deps.policies.onChange(() => this.#recheck());
  }

  /** Authorizes and connects; returns the refusal instead when it cannot be. Every refusal is recorded. */
  async open(context: ConnectionContext, signal: AbortSignal): Promise<TcpPath | TcpRefusal> {
    const record = this.#makeRecord(context);
    const outcome = await this.#attempt({ context, record, signal });
    return 'backend' in outcome ? outcome : this.#refuse(record, outcome);
  }

  /** As `open`, before it is known whether the connection is TCP at all: leaves no record. Undefined: refused. */
  async reach(context: ConnectionContext, signal: AbortSignal): Promise<TcpPath | undefined> {
    const outcome = await this.#attempt({ context, record: this.#makeRecord(context), signal });
    return 'backend' in outcome ? outcome : undefined;
  }

  /** Lets go of a path that was reached and is not needed. */
  discard({ backend, release }: TcpPath): void {
    backend.destroy();
    release();
  }

  /** Joins an accepted client with an opened path. */
  join(client: Duplex, context: ConnectionContext, path: TcpPath): void {
    const { backend, record, release, head } = path;
    this.#deps.telemetry.connectionOpened(record);
    this.#live.set(client, { context, record });
    void copyBoth(client, backend, recordedBytes(record), { a: head }).then(() => {
      release();
      this.#live.delete(client);
      this.#close(record);
    });
    // Policy may have changed while the backend was being reached.
    this.#recheckOne(client);
  }

  /** Gives an opened path up because its client went away meanwhile. */
  abandon({ backend, record, release }: TcpPath): void {
    backend.destroy();
    release();
    record.flags.push('DC');
    this.#deps.telemetry.connectionOpened(record);
    this.#close(record);
  }

  async #attempt(wanted: {
    context: ConnectionContext;
    record: TcpConnectionRecord;
    signal: AbortSignal;
  }): Promise<TcpPath | TcpRefusal> {
    const { context, record, signal } = wanted;
    const denied = this.#denial(context);
    if (denied !== undefined) {
      record.terminationDetails = denied;
      return { status: 401, reason: denied };
    }
    const tried = new Set<string>();
    for (let attempt = 1; ; attempt++) {
      const endpoint = this.#deps.backends.pick(context, tried);
      if (endpoint === undefined) {
        record.flags.push('UH');
        return { status: 503, reason: 'no healthy upstream' };
      }
      record.endpoint = endpoint;
      tried.add(endpoint.key);
      try {
        return await this.#connect({ context, endpoint, record, signal });
      } catch (error) {
        const isRetriable = error instanceof DialError && error.isRetriable && !signal.aborted;
        if (isRetriable && attempt < connectAttemptsMax) continue;
        record.flags.push('UF', ...(attempt > 1 ? ['URX'] : []));
        record.transportFailure = messageOf(error);
        return { status: 503, reason: messageOf(error) };
      }
    }
  }

  async #connect(target: {
    context: ConnectionContext;
    endpoint: Endpoint;
    record: TcpConnectionRecord;
    signal: AbortSignal;
  }): Promise<TcpPath> {
    const { context, endpoint, record, signal } = target;
    const release = this.#deps.backends.begin(endpoint);
    try {
      const serviceHostname = serviceOf(context)?.hostname;
      const backend = await this.#deps.dialer.dial(endpoint, {
        serviceHostname,
        clientAddress: context.peerAddress,
        signal,
      });
      // Until it is joined nobody else listens; what failed also closes.
      backend.on('error', ignoreError);
      return { backend, record, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  #denial(context: ConnectionContext): string | undefined {
    const decision = authorize(this.#deps.policies.select(serviceOf(context)), connectionAttributes(context));
    return decision.allowed ? undefined : denialDetails(decision);
  }

  #recheck(): void {
    for (const client of this.#live.keys()) this.#recheckOne(client);
  }

  #recheckOne(client: Duplex): void {
    const entry = this.#live.get(client);
    const denied = entry === undefined ? undefined : this.#denial(entry.context);
    if (entry === undefined || denied === undefined) return;
    entry.record.terminationDetails = denied;
    breakOff(client);
  }

  #refuse(record: TcpConnectionRecord, refusal: TcpRefusal): TcpRefusal {
    this.#deps.telemetry.connectionOpened(record);
    this.#close(record);
    return refusal;
  }

  #close(record: TcpConnectionRecord): void {
    record.durationMs = Math.max(0, this.#deps.now() - record.startMs);
    this.#deps.telemetry.connectionClosed(record);
  }

  #makeRecord(connection: ConnectionContext): TcpConnectionRecord {
    return {
      connection,
      startMs: this.#deps.now(),
      flags: [],
      terminationDetails: undefined,
      transportFailure: undefined,
      receivedBytes: 0,
      sentBytes: 0,
      durationMs: 0,
      endpoint: undefined,
    };
  }
}

/** Errors also end in 'close', where they are dealt with. */
function ignoreError(): void {
  return undefined;
}
