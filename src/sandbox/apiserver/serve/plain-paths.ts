import { type Discovery, versionDocument } from '../discovery/discovery.js';
import type { OpenApi } from '../discovery/openapi.js';
import type { JsonObject } from '../../base/json.js';
import { apiError } from '../api-error.js';
import { type ApiExchange, sendJson, sendText } from '../http/exchange.js';
import { type Health, isHealthEndpoint } from '../http/health.js';

export interface PlainPathsDeps {
  readonly discovery: Discovery;
  readonly openApi: OpenApi;
  readonly health: Health;
  /** The issuer's public documents by path. */
  readonly issuerDocuments: () => Readonly<Record<string, JsonObject>>;
  readonly metrics: () => Promise<string>;
}

const rootPaths = [
  '/.well-known/openid-configuration',
  '/api',
  '/api/v1',
  '/apis',
  '/healthz',
  '/livez',
  '/metrics',
  '/metrics/slis',
  '/openapi/v2',
  '/openapi/v3',
  '/openid/v1/jwks',
  '/readyz',
  '/version',
];

const metricsType = 'text/plain; version=0.0.4; charset=utf-8';

/** Answers a path that is nothing, as Kubernetes does: in plain text. */
export function answerUnknownPage(exchange: ApiExchange): void {
  sendText(exchange, 404, 'text/plain; charset=utf-8', '404 page not found\n');
}

/** Serves everything that is not a resource: health, version, metrics, discovery, OpenAPI, the issuer's documents. */
export class PlainPaths {
  readonly #deps: PlainPathsDeps;

  constructor(deps: PlainPathsDeps) {
    this.#deps = deps;
  }

  async serve(exchange: ApiExchange, path: string): Promise<void> {
    const { request, url } = exchange;
    const [first = '', ...rest] = path.split('/').filter((p) => p !== '');
    if (isHealthEndpoint(first)) {
      if (!this.#deps.health.answer(exchange, first, rest.join('/'), url.searchParams))
        answerUnknownPage(exchange);
      return;
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') throw apiError.methodNotAllowed();
    if (path === '/version' || path === '/version/') return sendJson(exchange, 200, versionDocument());
    if (path === '/metrics') {
      return sendText(exchange, 200, metricsType, await this.#deps.metrics());
    }
    if (path === '/metrics/slis') {
      return sendText(exchange, 200, metricsType, await this.#deps.health.metricsText());
    }
    if (first === 'openapi') {
      if (!(await this.#deps.openApi.answer(exchange, path))) answerUnknownPage(exchange);
      return;
    }
    const issuerDocument = this.#deps.issuerDocuments()[path];
    if (issuerDocument !== undefined) return sendJson(exchange, 200, issuerDocument);
    if (path === '/') return sendJson(exchange, 200, { paths: rootPaths });
    const document = this.#deps.discovery.document(path, request.headers.accept);
    if (document === undefined) return answerUnknownPage(exchange);
    exchange.response.setHeader('Vary', 'Accept');
    sendText(exchange, 200, document.contentType, `${JSON.stringify(document.body)}\n`);
  }
}
