import { MeshError } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { podHttp } from '#base/kube/port-forward.js';
import type { Pod } from '#base/kube/types.js';
import { adminPort } from '../component-pods.js';

/** What became of the attempt to connect; shapes are those of the CNI agent's `/debug/probe`. */
export interface AgentOpening {
  readonly id?: string;
  readonly local?: string;
  readonly connectMs: number;
  readonly isRedirected?: boolean;
  readonly error?: string;
}

export interface AgentState {
  readonly state: 'open' | 'closed';
  readonly closedAfterMs?: number;
  readonly error?: string;
}

export interface AgentHttpAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly ms?: number;
  readonly error?: string;
}

export interface AgentTlsAnswer {
  readonly version?: string;
  readonly cipher?: string;
  readonly names?: string;
  readonly address?: string;
  readonly ms: number;
  readonly error?: string;
}

const excerptMaxChars = 200;

/** The agent of a node as a probe uses it. */
export class AgentProbe {
  readonly #client: KubeClient;
  readonly #agent: Pod;

  constructor(client: KubeClient, agent: Pod) {
    this.#client = client;
    this.#agent = agent;
  }

  /** Opens a connection from inside a pod. Rejects with MESH0991 (the agent cannot probe) or MESH0992 (it refuses). */
  open(request: {
    readonly uid: string;
    readonly host: string;
    readonly port: number;
    readonly timeoutMs: number;
  }): Promise<AgentOpening> {
    return this.#ask('POST', '/debug/probe', request);
  }

  state(id: string): Promise<AgentState> {
    return this.#ask('GET', `/debug/probe/state?id=${id}`);
  }

  get(
    id: string,
    request: {
      readonly authority: string;
      readonly path: string;
      readonly requestId: string;
      readonly timeoutMs: number;
    },
  ): Promise<AgentHttpAnswer> {
    return this.#ask('POST', `/debug/probe/get?id=${id}`, request);
  }

  close(id: string): Promise<unknown> {
    return this.#ask('POST', `/debug/probe/close?id=${id}`, {});
  }

  /** Opens a TLS session of the agent's own. */
  tls(request: {
    readonly host: string;
    readonly port: number;
    readonly roots: string;
    readonly timeoutMs: number;
  }): Promise<AgentTlsAnswer> {
    return this.#ask('POST', '/debug/probe/tls', request);
  }

  async #ask<T>(method: 'GET' | 'POST', path: string, body?: { readonly timeoutMs?: number }): Promise<T> {
    const { namespace = '', name } = this.#agent.metadata;
    const replyMs = 5_000;
    const { status, body: text } = await podHttp(this.#client, {
      namespace,
      pod: name,
      port: adminPort,
      method,
      path,
      timeoutMs: (body?.timeoutMs ?? 0) + replyMs,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer = parsed(text);
    if (status === 200 && answer !== undefined) return answer as T;
    const node = this.#agent.spec.nodeName ?? '';
    const error = answer?.['error'];
    if (typeof error === 'string')
      throw new MeshError('MESH0992', `the CNI agent of node ${node} does not probe: ${error}`);
    throw new MeshError(
      'MESH0991',
      `the CNI agent of node ${node} cannot probe: it is older, or not meshctl's`,
      {
        evidence: `Pod ${namespace}/${name} answers ${status} to ${path.split('?')[0]}: ${text.slice(0, excerptMaxChars).trim()}`,
      },
    );
  }
}

function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
