import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import type { ApiServer } from '#sandbox/base/api-server.js';
import { startApiServer } from '#sandbox/apiserver/server.js';
import { type KubeletGateway, KubeletGatewayError } from '#sandbox/base/kubelet-gateway.js';
import { startApiControllers } from '#sandbox/cluster/index.js';
import { Kubectl, type KubectlResult } from '../../../harness/kubectl.js';
import { createLogger } from '#base/telemetry/log.js';

/** A node side that runs commands as local processes and forwards to local ports. */
export const localKubelet: KubeletGateway = {
  logs: async (request, sink, signal) => {
    if (request.previous === true)
      throw new KubeletGatewayError(400, `previous terminated container "${request.container}" not found`);
    const lines = ['one', 'two', 'three'];
    for (const line of lines.slice(-(request.tailLines ?? lines.length))) sink.write(`${line}\n`);
    if (request.follow) {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    }
  },
  exec: async (request, io) => {
    const child = spawn(request.command[0] ?? 'false', request.command.slice(1));
    child.stdout.pipe(io.stdout, { end: false });
    if (io.stderr !== undefined) child.stderr.pipe(io.stderr, { end: false });
    if (io.stdin === undefined) child.stdin.end();
    else io.stdin.pipe(child.stdin);
    return new Promise((resolve) => child.once('close', (code) => resolve({ exitCode: code ?? 1 })));
  },
  attach: async (_request, io) => {
    io.stdout.write('attached\n');
    return { exitCode: 0 };
  },
  portForward: async ({ port }) => {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', () => resolve());
      socket.once('error', reject);
    });
    return socket;
  },
};

/** An API server on loopback with a kubectl that speaks to it. */
export class ApiUnderTest {
  readonly api: ApiServer;
  readonly server: string;
  readonly #kubectl: Kubectl;
  readonly #controllers = new AbortController();

  private constructor(api: ApiServer) {
    this.api = api;
    this.server = `https://127.0.0.1:${api.ports[0]}`;
    this.#kubectl = new Kubectl(api.adminKubeconfig(this.server));
  }

  static async start(o: { readonly kubelet?: KubeletGateway } = {}): Promise<ApiUnderTest> {
    const api = await startApiServer({
      listeners: [{ kind: 'address', host: '127.0.0.1', port: 0 }],
      advertise: { host: '127.0.0.1', port: 6443 },
      kubelet: o.kubelet ?? localKubelet,
      logger: createLogger('apiserver-test'),
    });
    const t = new ApiUnderTest(api);
    await startApiControllers({ signal: t.#controllers.signal, api });
    return t;
  }

  get kubeconfig(): string {
    return this.#kubectl.kubeconfig;
  }

  async stop(): Promise<void> {
    this.#controllers.abort();
    await this.api.close();
    this.#kubectl.remove();
  }

  file(name: string, text: string): string {
    return this.#kubectl.file(name, text);
  }

  environment(): NodeJS.ProcessEnv {
    return this.#kubectl.environment();
  }

  /** Runs kubectl; never rejects for a non-zero exit. */
  kubectl(args: readonly string[], input?: string): Promise<KubectlResult> {
    return this.#kubectl.run(args, input);
  }

  /** Runs kubectl and returns its output; throws when it fails. */
  ok(args: readonly string[], input?: string): Promise<string> {
    return this.#kubectl.ok(args, input);
  }
}

/** Polls until the check passes or the time is up. */
export async function eventually(check: () => Promise<boolean>, timeoutMs = 5_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error('the condition did not come true in time');
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
