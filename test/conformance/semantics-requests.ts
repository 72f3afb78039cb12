import type { Credentials, RawAnswer, ServerUnderTest } from './servers.js';

/** An object or Status as it came over the wire. */
export interface Body {
  readonly kind?: string;
  readonly code?: number;
  readonly reason?: string;
  readonly message?: string;
  readonly details?: { readonly causes?: readonly { readonly field?: string; readonly message?: string }[] };
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly continue?: string;
    readonly remainingItemCount?: number;
    readonly managedFields?: readonly ManagedFields[];
    readonly [key: string]: unknown;
  };
  readonly items?: readonly Body[];
  readonly spec?: Record<string, unknown>;
  readonly status?: Record<string, unknown>;
  readonly data?: Record<string, string>;
  readonly [key: string]: unknown;
}

export interface ManagedFields {
  readonly manager: string;
  readonly operation: string;
  readonly subresource?: string;
  readonly fieldsV1: unknown;
}

export interface Answer extends RawAnswer {
  readonly body: Body;
}

/** Media types of patches. */
export const patchTypes = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const;

/** Short forms of requests to one server; statuses are for the test to look at. */
export class Requests {
  readonly #server: ServerUnderTest;
  readonly #as: Credentials;

  constructor(server: ServerUnderTest, as: Credentials = { kind: 'admin' }) {
    this.#server = server;
    this.#as = as;
  }

  async send(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    // Node sends bodies of deletions without saying how long they are.
    const length = text === undefined ? {} : { 'content-length': String(Buffer.byteLength(text)) };
    const answer = await this.#server.raw({
      method,
      path,
      body: text,
      headers: { ...length, ...headers },
      as: this.#as,
    });
    return {
      ...answer,
      get body(): Body {
        return answer.json<Body>();
      },
    };
  }

  get(path: string, headers?: Readonly<Record<string, string>>): Promise<Answer> {
    return this.send('GET', path, undefined, headers);
  }

  post(path: string, body: unknown, headers?: Readonly<Record<string, string>>): Promise<Answer> {
    return this.send('POST', path, body, headers);
  }

  put(path: string, body: unknown): Promise<Answer> {
    return this.send('PUT', path, body);
  }

  patch(path: string, type: keyof typeof patchTypes, body: unknown): Promise<Answer> {
    return this.send('PATCH', path, body, { 'content-type': patchTypes[type] });
  }

  /** Server-side apply of a configuration that already says what it is. */
  apply(path: string, manager: string, body: unknown, query = ''): Promise<Answer> {
    return this.patch(`${path}?fieldManager=${manager}${query}`, 'apply', body);
  }

  delete(path: string, options?: unknown): Promise<Answer> {
    return this.send('DELETE', path, options);
  }

  /** The events a watch gives until its time is up. */
  async watch(path: string, seconds = 1): Promise<{ type: string; object: Body }[]> {
    const separator = path.includes('?') ? '&' : '?';
    const answer = await this.get(`${path}${separator}watch=1&timeoutSeconds=${seconds}`);
    return answer.text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { type: string; object: Body });
  }
}

/** The names of a list's items. */
export function namesOf(answer: Answer): string[] {
  return (answer.body.items ?? []).map((o) => o.metadata.name);
}
