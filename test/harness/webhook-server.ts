import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { ClusterPki } from '#sandbox/base/pki.js';
import type { JsonObject } from '#sandbox/base/json.js';

/** What a webhook was asked: the body of the request, and its path with the query. */
export interface Asked {
  readonly path: string;
  readonly review: JsonObject & { readonly request: JsonObject };
}

/** What a webhook answers: fields of `response` (the uid is added), or a raw answer. */
export type Answer =
  | { readonly response: JsonObject }
  | { readonly status: number; readonly body: string }
  | { readonly never: true };

/** A base64 JSON patch as fields of an AdmissionReview response. */
export function patched(operations: readonly JsonObject[]): JsonObject {
  const patch = Buffer.from(JSON.stringify(operations)).toString('base64');
  return { allowed: true, patchType: 'JSONPatch', patch };
}

/** A real HTTPS server that answers admission and conversion reviews by path. */
export class WebhookServer {
  readonly url: string;
  readonly caBundle: string;
  readonly asked: Asked[] = [];
  readonly #server: Server;
  readonly #handlers = new Map<string, (asked: Asked) => Answer | Promise<Answer>>();

  private constructor(server: Server, port: number, caPem: string) {
    this.#server = server;
    this.url = `https://127.0.0.1:${port}`;
    this.caBundle = Buffer.from(caPem).toString('base64');
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  static async start(names: readonly string[] = ['127.0.0.1', 'localhost']): Promise<WebhookServer> {
    const pki = await ClusterPki.open(undefined);
    const { certPem, keyPem } = await pki.issueServer(names);
    const server = createServer({ cert: certPem, key: keyPem });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const webhooks = new WebhookServer(server, (server.address() as AddressInfo).port, pki.caPem);
    server.on('request', (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const path = request.url ?? '';
        const review = JSON.parse(Buffer.concat(chunks).toString()) as Asked['review'];
        const asked = { path, review };
        webhooks.asked.push(asked);
        const handler = webhooks.#handlers.get(new URL(path, webhooks.url).pathname);
        void Promise.resolve(handler?.(asked) ?? { status: 404, body: 'no such hook' }).then((answer) => {
          if ('never' in answer) return;
          if ('status' in answer) {
            response.writeHead(answer.status, { 'content-type': 'text/plain' }).end(answer.body);
            return;
          }
          const { apiVersion, kind } = review;
          const body = { apiVersion, kind, response: { uid: review.request.uid, ...answer.response } };
          response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
        });
      });
    });
    return webhooks;
  }

  /** Sets what a path answers, and forgets what it was asked. */
  on(path: string, handler: (asked: Asked) => Answer | Promise<Answer>): void {
    this.#handlers.set(path, handler);
    this.asked.splice(0, this.asked.length, ...this.asked.filter((a) => !a.path.startsWith(`${path}?`)));
  }

  /** The requests that a path was asked about. */
  requests(path: string): JsonObject[] {
    return this.asked.filter((a) => a.path.startsWith(`${path}?`)).map((a) => a.review.request);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
