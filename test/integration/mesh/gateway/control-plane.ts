import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { type handleUnaryCall, Server, ServerCredentials } from '@grpc/grpc-js';
import { CertificateAuthority } from '#mesh/identity/ca/authority.js';
import { generateRoot } from '#mesh/identity/ca/material.js';
import { type Credentials, makeCredentials } from '#mesh/identity/credentials.js';
import { createSigningRequest } from '#mesh/identity/csr.js';
import type { SpiffeId } from '#mesh/identity/spiffe.js';
import {
  type IstioCertificateRequest,
  IstioCertificateRequestSchema,
  type IstioCertificateResponse,
  IstioCertificateResponseSchema,
} from '#mesh/xds/gen/istio/ca_pb.js';
import { encodeResource, type WireResource } from '#mesh/xds/server/resource.js';
import { DeltaXdsServer } from '#mesh/xds/server/server.js';
import { oneOrNone, type ResourceSource } from '#mesh/xds/server/source.js';
import { addressType, createCertificatePath, l7AuthorizationType } from '#mesh/xds/type-urls.js';

class MapSource implements ResourceSource {
  readonly tracksNames = false;
  readonly removesLast = false;
  readonly allowsOnDemand = false;
  readonly resources = new Map<string, WireResource>();

  constructor(readonly typeUrl: string) {}

  all(): Iterable<WireResource> {
    return this.resources.values();
  }

  lookup(name: string): readonly WireResource[] {
    return oneOrNone(this.resources.get(name));
  }
}

/** The project's xDS server and certificate authority behind one TLS port, fed by the test. */
export class ControlPlane {
  private readonly addresses = new MapSource(addressType);
  private readonly policies = new MapSource(l7AuthorizationType);
  private readonly xds: DeltaXdsServer;
  private server: Server | undefined;
  private version = 0;
  /** False: streams are refused, as by a controller that has not read the cluster yet. */
  isReady = true;
  /** False: certificates are refused, configuration is not. */
  signsCertificates = true;
  port = 0;

  private constructor(
    private readonly authority: CertificateAuthority,
    readonly rootPem: string,
    private readonly gateway: SpiffeId,
  ) {
    this.xds = new DeltaXdsServer({
      sources: [this.addresses, this.policies],
      events: { request: () => undefined, sent: () => undefined },
      isReady: () => this.isReady,
      currentVersion: () => String(this.version),
      now: () => Date.now(),
    });
  }

  /** A control plane that signs `gateway` for whoever asks without impersonation. */
  static async start(gateway: SpiffeId): Promise<ControlPlane> {
    const material = await generateRoot('cluster.local');
    const plane = new ControlPlane(await CertificateAuthority.load(material), material.rootPem, gateway);
    await plane.listen();
    return plane;
  }

  async listen(): Promise<void> {
    const serving = await this.authority.serve(['localhost']);
    const credentials = ServerCredentials.createSsl(null, [
      { cert_chain: Buffer.from(serving.chainPem), private_key: Buffer.from(serving.keyPem) },
    ]);
    const server = new Server();
    const xds = this.xds.service(() => Promise.resolve());
    server.addService(xds.definition, xds.implementation);
    server.addService(
      {
        createCertificate: {
          path: createCertificatePath,
          requestStream: false,
          responseStream: false,
          requestSerialize: (m: IstioCertificateRequest) =>
            Buffer.from(toBinary(IstioCertificateRequestSchema, m)),
          requestDeserialize: (b: Buffer) => fromBinary(IstioCertificateRequestSchema, b),
          responseSerialize: (m: IstioCertificateResponse) =>
            Buffer.from(toBinary(IstioCertificateResponseSchema, m)),
          responseDeserialize: (b: Buffer) => fromBinary(IstioCertificateResponseSchema, b),
        },
      },
      { createCertificate: this.createCertificate },
    );
    this.port = await new Promise((resolve, reject) => {
      server.bindAsync(`127.0.0.1:${this.port}`, credentials, (error, port) =>
        error === null ? resolve(port) : reject(error),
      );
    });
    this.server = server;
  }

  /** The whole control plane goes away. */
  stop(): void {
    this.server?.forceShutdown();
    this.server = undefined;
  }

  /** Issues credentials directly, for the test's own ends of HBONE. */
  async issue(identity: SpiffeId): Promise<Credentials> {
    const request = await createSigningRequest(identity);
    const chain = await this.authority.signLeaf({ csrPem: request.csrPem, identity, ttlSeconds: 3_600 });
    return makeCredentials({
      identity,
      certChainPem: chain.slice(0, -1).join(''),
      keyPem: request.keyPem,
      rootsPem: chain.at(-1) ?? '',
    });
  }

  putAddress<S extends DescMessage>(name: string, schema: S, message: MessageShape<S>): void {
    this.put(
      this.addresses,
      encodeResource({ name, typeUrl: addressType, schema, message, isVersioned: true }),
    );
  }

  putPolicy<S extends DescMessage>(name: string, schema: S, message: MessageShape<S>): void {
    const typeUrl = l7AuthorizationType;
    this.put(this.policies, encodeResource({ name, typeUrl, schema, message, isVersioned: false }));
  }

  removePolicy(name: string): void {
    this.version++;
    this.policies.resources.delete(name);
    this.xds.push(new Map([[l7AuthorizationType, new Set([name])]]));
  }

  private put(source: MapSource, resource: WireResource): void {
    this.version++;
    source.resources.set(resource.name, resource);
    this.xds.push(new Map([[source.typeUrl, new Set([resource.name])]]));
  }

  private readonly createCertificate: handleUnaryCall<IstioCertificateRequest, IstioCertificateResponse> = (
    call,
    callback,
  ) => {
    if (!this.signsCertificates) {
      callback({ code: 14, details: 'the authority is not ready' });
      return;
    }
    const ttlSeconds = Number(call.request.validityDuration);
    this.authority.signLeaf({ csrPem: call.request.csr, identity: this.gateway, ttlSeconds }).then(
      (certChain) => callback(null, create(IstioCertificateResponseSchema, { certChain })),
      (error: Error) => callback({ code: 13, details: error.message }),
    );
  };
}
