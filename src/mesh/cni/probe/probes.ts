import { randomUUID } from 'node:crypto';
import { messageOf } from '#base/errors/mesh-error.js';
import type { Pod } from '#base/kube/types.js';
import { formatHostPort } from '#base/net/authority.js';
import { connectTcp } from '#base/system/socket.js';
import { unmapIp } from '#base/net/address.js';
import type { Logger } from '#base/telemetry/log.js';
import type { NetnsHandle } from '../netns-handle.js';
import { isRedirectedFrom } from '../redirection/netns-view.js';
import { ProbeConnection, type ProbeHttpAnswer, type ProbeState } from './probe-connection.js';
import type { ProbeHttpRequest, ProbeRequest } from './probe-request.js';

/** What became of an attempt to connect from inside a pod. */
export interface ProbeOpening {
  /** Names the connection while it is held; absent when there is none. */
  readonly id?: string;
  /** `ip:port` of the pod's end. */
  readonly local?: string;
  /** Milliseconds until the connection stood, or had failed. */
  readonly connectMs: number;
  /** Whether the kernel led it to the node proxy's listener in the pod, as its table of sockets shows; absent when it had ended by then. */
  readonly isRedirected?: boolean;
  /** `ECONNREFUSED`, `ETIMEDOUT` and the like. */
  readonly error?: string;
}

export interface ProbesDeps {
  /** The pod of this node with a UID, unless it has ended. */
  readonly findPod: (uid: string) => Pod | undefined;
  /** The pod's namespace; the caller releases it. */
  readonly openNetnsOf: (pod: Pod) => NetnsHandle | undefined;
  readonly log: Logger;
}

/** A request that cannot be served, with the HTTP status to say so. */
export class ProbeRefusal extends Error {
  constructor(
    readonly status: 404 | 409 | 429,
    message: string,
  ) {
    super(message);
  }
}

/** Connections held at a time, being made or made. */
const heldMax = 16;
/** A connection that nobody lets go of is let go of after this long. */
const heldMaxMs = 20_000;

/**
 * Connections opened on request from inside pods of this node, as their applications would: unmarked, so that the
 * redirection of the pod applies. Only pods of this node, by UID; few at a time; none for long.
 */
export class Probes {
  readonly #deps: ProbesDeps;
  readonly #held = new Map<string, ProbeConnection>();
  #openingCount = 0;

  constructor(deps: ProbesDeps) {
    this.#deps = deps;
  }

  /** Opens a connection. Rejects with {@link ProbeRefusal}; a connection that cannot be made is an answer. */
  async open({ uid, host, port, timeoutMs }: ProbeRequest): Promise<ProbeOpening> {
    const pod = this.#deps.findPod(uid);
    if (pod === undefined) throw new ProbeRefusal(404, 'no such pod runs on this node');
    if (this.#held.size + this.#openingCount >= heldMax)
      throw new ProbeRefusal(429, `${heldMax} probes are under way already`);
    if (pod.spec.hostNetwork === true) throw new ProbeRefusal(409, 'the pod uses the network of its node');
    const netns = this.#deps.openNetnsOf(pod);
    if (netns === undefined) throw new ProbeRefusal(409, 'the network namespace of the pod was not found');
    this.#deps.log.info('probe', {
      pod: `${pod.metadata.namespace}/${pod.metadata.name}`,
      to: formatHostPort({ host, port }),
    });
    this.#openingCount++;
    const startMs = performance.now();
    const elapsed = (): number => Math.round((performance.now() - startMs) * 10) / 10;
    try {
      const socket = await connectTcp({ netns: netns.fd, host, port, timeoutMs });
      const connectMs = elapsed();
      const local = { host: unmapIp(socket.localAddress ?? ''), port: socket.localPort ?? 0 };
      const isRedirected = isRedirectedFrom(netns.fd, local.port);
      const id = randomUUID();
      const timer = setTimeout(() => this.close(id), heldMaxMs);
      timer.unref();
      this.#held.set(
        id,
        // One that has ended is remembered until somebody has asked how, or its time is up.
        new ProbeConnection(socket, () => undefined),
      );
      return {
        id,
        local: formatHostPort(local),
        connectMs,
        ...(isRedirected === undefined ? {} : { isRedirected }),
      };
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
      return { connectMs: elapsed(), error: code ?? messageOf(error) };
    } finally {
      this.#openingCount--;
      netns.release();
    }
  }

  /** How a held connection stands; undefined when none has the id. */
  state(id: string): ProbeState | undefined {
    return this.#held.get(id)?.state;
  }

  /** One GET on a held connection; undefined when none has the id. */
  async get(id: string, request: ProbeHttpRequest): Promise<ProbeHttpAnswer | undefined> {
    return this.#held.get(id)?.get(request);
  }

  /** Lets go of a connection; true when there was one. */
  close(id: string): boolean {
    this.#held.get(id)?.close();
    return this.#held.delete(id);
  }

  /** Lets go of all. */
  closeAll(): void {
    for (const id of this.#held.keys()) this.close(id);
  }
}
