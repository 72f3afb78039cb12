import { setTimeout as sleep } from 'node:timers/promises';
import { Readable } from 'node:stream';
import { MeshError } from '../../errors/mesh-error.js';
import { readBounded } from '../../system/bounded-bytes.js';
import { type Descriptor, manifestTypes } from '../descriptor.js';
import { digestOf, isDigest } from '../digest.js';
import type { ImageContent } from '../image-source.js';
import { documentMaxBytes } from '../limits.js';
import { verified, verifiedBytes } from '../verified.js';
import { RepositoryAuthorization } from './repository-authorization.js';
import type { CredentialLookup } from './credentials.js';
import { answerFailure } from './registry-error.js';
import type { RegistryAnswer, RegistryRequest, Transport } from './transport.js';

export interface RepositoryOptions {
  /** Host and port, as references have it. */
  readonly registry: string;
  readonly repository: string;
  readonly transport: Transport;
  readonly credentials: CredentialLookup;
  /** HTTP without TLS. */
  readonly isPlain: boolean;
  /** Whether it will be written to. */
  readonly isTarget: boolean;
  /** Repositories of the registry that blobs may be mounted from. */
  readonly siblings?: readonly string[];
  readonly signal: AbortSignal;
}

/** What a request answers with; a body that can be sent again is made anew for each try. */
export interface RepositoryRequest extends Omit<RegistryRequest, 'body'> {
  readonly body?: () => Promise<Buffer | Readable>;
  /** Statuses that are an answer. Others are errors. */
  readonly expect: readonly number[];
  /** What it is about, for messages. */
  readonly what: string;
  /** Whether it may be sent once more when the connection broke. Default true. */
  readonly isRepeatable?: boolean;
}

/** Docker Hub answers under another name than its images have. */
const apiHosts: Readonly<Record<string, string>> = { 'docker.io': 'registry-1.docker.io' };

const triesMax = 4;
const pauseMs = 500;
const pauseMaxMs = 20_000;
const redirectsMax = 5;
const busyStatuses: ReadonlySet<number> = new Set([429, 500, 502, 503, 504]);
const redirectStatuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** One repository of a registry, by the Distribution API (v2). Throws MESH1201 to MESH1211. */
export class Repository implements ImageContent {
  readonly place: string;
  readonly #o: RepositoryOptions;
  readonly #base: URL;
  readonly #auth: RepositoryAuthorization;

  constructor(options: RepositoryOptions) {
    this.#o = options;
    this.place = `${options.registry}/${options.repository}`;
    const host = apiHosts[options.registry] ?? options.registry;
    this.#base = new URL(`${options.isPlain ? 'http' : 'https'}://${host}/v2/${options.repository}/`);
    this.#auth = new RepositoryAuthorization(options.transport, {
      registry: options.registry,
      credentials: options.credentials,
      repository: options.repository,
      actions: options.isTarget ? 'pull,push' : 'pull',
      siblings: options.siblings ?? [],
    });
  }

  /** What a tag or digest stands for. */
  async resolve(tagOrDigest: string): Promise<Descriptor> {
    const what = `${this.place}${isDigest(tagOrDigest) ? '@' : ':'}${tagOrDigest}`;
    const request = { headers: { accept: manifestTypes.join(', ') }, expect: [200], what };
    const head = await this.request(`manifests/${tagOrDigest}`, { ...request, method: 'HEAD' });
    head.body.resume();
    const said = head.headers['docker-content-digest'];
    // Who asks by digest means that content, whatever the registry has to say of it.
    const digest = isDigest(tagOrDigest) ? tagOrDigest : said;
    const size = Number(head.headers['content-length'] ?? Number.NaN);
    if (isDigest(digest) && Number.isSafeInteger(size))
      return { digest, size, mediaType: mediaTypeOf(head), platform: undefined, annotations: {} };
    // Registries need not say it: then it is counted.
    const answer = await this.request(`manifests/${tagOrDigest}`, { ...request, method: 'GET' });
    const bytes = await this.#whole(answer, what);
    return {
      digest: isDigest(digest) ? digest : digestOf(bytes),
      size: bytes.length,
      mediaType: mediaTypeOf(answer),
      platform: undefined,
      annotations: {},
    };
  }

  async document(descriptor: Descriptor): Promise<Buffer> {
    const isManifest = manifestTypes.includes(descriptor.mediaType);
    const what = `${this.place}@${descriptor.digest}`;
    const answer = await this.request(`${isManifest ? 'manifests' : 'blobs'}/${descriptor.digest}`, {
      method: 'GET',
      headers: isManifest ? { accept: manifestTypes.join(', ') } : {},
      expect: [200],
      what,
    });
    return verifiedBytes(await this.#whole(answer, what), descriptor, this.place);
  }

  /** Goes on where a connection broke, as long as something arrives each time. */
  blob(descriptor: Descriptor, start = 0): Promise<Readable> {
    const source = Readable.from(this.#chunks(descriptor, start), { objectMode: false });
    return Promise.resolve(start > 0 ? source : verified(source, descriptor, this.place));
  }

  async *#chunks({ digest, size }: Descriptor, start: number): AsyncGenerator<Buffer> {
    let offset = start;
    let failures = 0;
    while (offset < size) {
      const answer = await this.request(`blobs/${digest}`, {
        method: 'GET',
        headers: offset === 0 ? {} : { range: `bytes=${offset}-` },
        expect: [200, 206],
        what: `${this.place}@${digest}`,
      });
      // A server that knows no ranges begins at the beginning.
      let skip = answer.status === 206 ? 0 : offset;
      const before = offset;
      try {
        for await (const chunk of answer.body as AsyncIterable<Buffer>) {
          const rest = chunk.subarray(Math.min(skip, chunk.length));
          skip -= chunk.length - rest.length;
          offset += rest.length;
          if (rest.length > 0) yield rest;
        }
        if (offset >= size) return;
        throw new Error(`it ended after ${offset} of ${size} bytes`);
      } catch (error) {
        this.#o.signal.throwIfAborted();
        failures = offset > before ? 1 : failures + 1;
        if (failures >= triesMax) throw this.#interrupted(error, digest);
        await this.pause(failures);
      }
    }
  }

  /**
   * Sends a request with what it takes to be let in. Of 429 and failures of the server, and of connections that break,
   * it makes four tries; a registry that cannot be reached at all fails at once.
   */
  async request(path: string | URL, r: RepositoryRequest): Promise<RegistryAnswer> {
    let url = new URL(path, this.#base);
    let hasAuthenticated = false;
    let redirects = 0;
    for (let tries = 1; ; ) {
      this.#o.signal.throwIfAborted();
      const answer = await this.#send(url, r).catch(async (error: unknown) => {
        const isBroken = error instanceof MeshError && error.code === 'MESH1206';
        if (!isBroken || r.isRepeatable === false || tries >= triesMax) throw error;
        return undefined;
      });
      if (answer !== undefined) {
        if (r.expect.includes(answer.status)) return answer;
        if (answer.status === 401 && !hasAuthenticated) {
          hasAuthenticated = true;
          answer.body.resume();
          if (await this.#auth.answer(answer)) continue;
          throw await answerFailure(answer, r.what);
        }
        const { location } = answer.headers;
        if (redirectStatuses.has(answer.status) && location !== undefined && r.method === 'GET') {
          answer.body.resume();
          redirects += 1;
          if (redirects > redirectsMax) throw await answerFailure(answer, r.what);
          url = new URL(location, url);
          continue;
        }
        if (!busyStatuses.has(answer.status) || r.isRepeatable === false || tries >= triesMax)
          throw await answerFailure(answer, r.what);
        answer.body.resume();
      }
      await this.pause(tries, answer?.headers['retry-after']);
      tries += 1;
    }
  }

  /** Waits longer each time, or as long as the server asks. */
  async pause(failures: number, retryAfter?: string): Promise<void> {
    const asked = Number(retryAfter ?? Number.NaN) * 1000;
    const ms = Number.isFinite(asked) && asked >= 0 ? asked : pauseMs * 2 ** (failures - 1);
    await sleep(Math.min(ms, pauseMaxMs), undefined, { signal: this.#o.signal });
  }

  async #send(url: URL, r: RepositoryRequest): Promise<RegistryAnswer> {
    const { method, bodyBytes } = r;
    // What storage a registry sends us to, it does not share its credentials with.
    const headers = { ...r.headers, ...(url.host === this.#base.host ? this.#auth.headers() : {}) };
    const body = await r.body?.();
    return this.#o.transport.send(url, {
      method,
      headers,
      ...(body === undefined ? {} : { body }),
      ...(bodyBytes === undefined ? {} : { bodyBytes }),
    });
  }

  async #whole(answer: RegistryAnswer, what: string): Promise<Buffer> {
    const tooLong = (): MeshError =>
      new MeshError('MESH1207', `${what}: the answer of ${answer.url.host} is too long`, {
        evidence: `a document may have ${documentMaxBytes} bytes`,
      });
    return readBounded(answer.body, documentMaxBytes, tooLong).catch((error: unknown) => {
      throw error instanceof MeshError ? error : this.#interrupted(error, what);
    });
  }

  #interrupted(error: unknown, what: string): MeshError {
    if (error instanceof MeshError && error.code !== 'MESH1206') return error;
    return new MeshError('MESH1206', `${this.place}: the transfer of ${what} was interrupted`, {
      evidence: error instanceof Error ? error.message : String(error),
      cause: error,
    });
  }
}

/** Without parameters, as in a descriptor. */
function mediaTypeOf({ headers }: RegistryAnswer): string {
  return (headers['content-type'] ?? '').split(';')[0]?.trim() ?? '';
}
