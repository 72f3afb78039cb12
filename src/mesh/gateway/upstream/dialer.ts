import type { Duplex } from 'node:stream';
import { messageOf } from '#base/errors/mesh-error.js';
import { connectTcp } from '#base/system/socket.js';
import { HboneError } from '../../hbone/hbone-error.js';
import { hbonePort } from '../../hbone/parameters.js';
import type { HbonePool } from '../../hbone/pool.js';
import { type MeshNames, sameIdentities } from '../../rules/trust-domain.js';
import type { Credentials } from '../../identity/credentials.js';
import { formatAddress } from '../../l7/message/address.js';
import type { ResetReason } from '../../l7/message/local-reply.js';
import type { Endpoint } from './endpoint.js';

/** No connection to an endpoint: no byte of the request was sent. */
export class DialError extends Error {
  constructor(
    readonly reason: Extract<ResetReason, 'remote connection failure' | 'connection timeout'>,
    /** Whether another endpoint may fare better. */
    readonly isRetriable: boolean,
    cause: unknown,
  ) {
    super(messageOf(cause), { cause });
  }
}

/** What the far proxy is told about a connection. */
export interface DialPurpose {
  /** Host name of the service the connection is for; attributes it at the far end. */
  readonly serviceHostname: string | undefined;
  /** The one client a connection carries; connections shared by clients name none. */
  readonly clientAddress?: { readonly ip: string; readonly port: number };
  readonly signal: AbortSignal;
}

/** How this proxy reaches endpoints. */
export interface DialerDeps {
  readonly pool: HbonePool;
  readonly credentials: () => Promise<Credentials>;
  /** The trust domains whose identities are this mesh's. */
  readonly names: MeshNames;
}

const connectTimeoutMs = 10_000;
/** Status with which a destination's node proxy refuses by policy. */
const refusedByPolicy = 401;

/**
 * Opens connections to endpoints: through HBONE with this proxy's own identity where the workload
 * takes part in the mesh, plain TCP otherwise. The endpoint must prove the identity the control
 * plane says its workload has.
 */
export class Dialer {
  readonly #deps: DialerDeps;

  constructor(deps: DialerDeps) {
    this.#deps = deps;
  }

  /** A stream of raw bytes to the endpoint. Rejects with {@link DialError}. */
  async dial(endpoint: Endpoint, purpose: DialPurpose): Promise<Duplex> {
    try {
      if (endpoint.workload?.protocol === 'HBONE')
        return await this.#tunnel(endpoint, endpoint.workload.identity, purpose);
      const { ip: host, port } = endpoint;
      return await connectTcp({ host, port, timeoutMs: connectTimeoutMs, signal: purpose.signal });
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      const isTimeout =
        code === 'ETIMEDOUT' || (error instanceof HboneError && error.flag === 'NETWORK_POLICY');
      const isRefused = error instanceof HboneError && error.status === refusedByPolicy;
      throw new DialError(isTimeout ? 'connection timeout' : 'remote connection failure', !isRefused, error);
    }
  }

  async #tunnel(
    endpoint: Endpoint,
    identity: Credentials['identity'],
    { serviceHostname, clientAddress, signal }: DialPurpose,
  ): Promise<Duplex> {
    const forwarded = [
      ...(clientAddress === undefined ? [] : [`for="${formatAddress(clientAddress)}"`]),
      ...(serviceHostname === undefined ? [] : [`host=${serviceHostname}`]),
    ].join(';');
    const { stream } = await this.#deps.pool.connect({
      destination: { host: endpoint.ip, port: hbonePort },
      authority: formatAddress(endpoint),
      headers: forwarded === '' ? {} : { forwarded },
      credentials: await this.#deps.credentials(),
      expectedIdentities: sameIdentities(identity, this.#deps.names),
      signal,
    });
    return stream;
  }
}
