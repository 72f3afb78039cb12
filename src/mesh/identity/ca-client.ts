import { X509Certificate } from 'node:crypto';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Client } from '@grpc/grpc-js';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import {
  callMetadata,
  channelCredentials,
  channelOptions,
  channelTarget,
  readRoots,
  type ControlPlaneEndpoint,
} from '../xds/client/endpoint.js';
import {
  IstioCertificateRequestSchema,
  IstioCertificateResponseSchema,
  type IstioCertificateRequest,
  type IstioCertificateResponse,
} from '../xds/gen/istio/ca_pb.js';
import { createCertificatePath } from '../xds/type-urls.js';
import { splitPem, makeCredentials, type Credentials } from './credentials.js';
import { createSigningRequest } from './csr.js';
import type { SpiffeId } from './spiffe.js';
import { spiffeNames } from './subject-alt-name.js';

/** Something that turns an identity into credentials: the certificate authority, seen from a proxy. */
export interface CertificateSource {
  /** Makes a key, has it signed, checks the answer. Rejects when the authority refuses or answers nonsense. */
  fetch(identity: SpiffeId, signal: AbortSignal): Promise<Credentials>;
}

export interface CaClientOptions {
  readonly endpoint: ControlPlaneEndpoint;
  /** True for a node proxy that asks on behalf of its node's workloads; false asks for the caller's own identity. */
  readonly impersonate: boolean;
  /** Lifetime asked for. */
  readonly ttlSeconds: number;
}

const callTimeoutMs = 15_000;

/** Client of the mesh certificate authority (istio.v1.auth.IstioCertificateService). */
export class CaClient implements CertificateSource {
  readonly #options: CaClientOptions;

  #channel: Client | undefined;
  #channelRoots = '';

  constructor(options: CaClientOptions) {
    this.#options = options;
  }

  async fetch(identity: SpiffeId, signal: AbortSignal): Promise<Credentials> {
    try {
      const request = await createSigningRequest(identity);
      const message = create(IstioCertificateRequestSchema, {
        csr: request.csrPem,
        validityDuration: BigInt(this.#options.ttlSeconds),
      });
      if (this.#options.impersonate) message.metadata = { ImpersonatedIdentity: identity };
      const response = await this.#call(message, signal);
      return this.#assemble(identity, request.keyPem, response.certChain);
    } catch (error) {
      if (error instanceof MeshError) throw error;
      throw new MeshError('MESH0501', `no certificate for ${identity}: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  /** Closes the connection to the authority. */
  close(): void {
    this.#channel?.close();
    this.#channel = undefined;
  }

  #assemble(identity: SpiffeId, keyPem: string, certChain: readonly string[]): Credentials {
    const rootsPem = certChain.at(-1);
    if (certChain.length < 2 || rootsPem === undefined) {
      throw new Error(`the authority answered ${certChain.length} certificates, expected a chain and a root`);
    }
    // Each element before the last is one certificate: whatever follows its first PEM block is not ours to trust.
    const chain = certChain.slice(0, -1).flatMap((element) => splitPem(element).slice(0, 1));
    const leaf = chain[0];
    if (leaf === undefined) throw new Error('the authority answered no leaf certificate');
    const [name] = spiffeNames(new X509Certificate(leaf).subjectAltName);
    if (name !== identity)
      throw new Error(`the authority signed ${name ?? 'no identity'} instead of ${identity}`);
    return makeCredentials({ identity, certChainPem: `${chain.join('\n')}\n`, keyPem, rootsPem });
  }

  async #call(message: IstioCertificateRequest, signal: AbortSignal): Promise<IstioCertificateResponse> {
    const metadata = await callMetadata(this.#options.endpoint);
    signal.throwIfAborted();
    const channel = this.#connect();
    return await new Promise((resolve, reject) => {
      const call = channel.makeUnaryRequest<IstioCertificateRequest, IstioCertificateResponse>(
        createCertificatePath,
        (request) => Buffer.from(toBinary(IstioCertificateRequestSchema, request)),
        (bytes) => fromBinary(IstioCertificateResponseSchema, bytes),
        message,
        metadata,
        { deadline: Date.now() + callTimeoutMs },
        (error, response) => {
          signal.removeEventListener('abort', cancel);
          if (error !== null) reject(error);
          else if (response === undefined) reject(new Error('the authority sent an empty answer'));
          else resolve(response);
        },
      );
      const cancel = (): void => call.cancel();
      signal.addEventListener('abort', cancel, { once: true });
    });
  }

  /** The channel, rebuilt when the root certificate file changed; the old one stays if the file is unreadable. */
  #connect(): Client {
    let roots: string;
    try {
      roots = readRoots(this.#options.endpoint.rootCa) ?? 'SYSTEM';
    } catch (error) {
      if (this.#channel === undefined) throw error;
      return this.#channel;
    }
    if (this.#channel === undefined || roots !== this.#channelRoots) {
      const fresh = new Client(
        channelTarget(this.#options.endpoint.address),
        channelCredentials({ ...this.#options.endpoint, rootCa: roots }),
        channelOptions,
      );
      this.#channel?.close();
      this.#channel = fresh;
      this.#channelRoots = roots;
    }
    return this.#channel;
  }
}
