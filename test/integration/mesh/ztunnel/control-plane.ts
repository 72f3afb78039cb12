import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { type handleUnaryCall, Server, ServerCredentials, status } from '@grpc/grpc-js';
import { CertificateAuthority } from '#mesh/identity/ca/authority.js';
import { generateRoot } from '#mesh/identity/ca/material.js';
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
import { addressType, authorizationType, createCertificatePath } from '#mesh/xds/type-urls.js';

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
  private readonly sources: ReadonlyMap<string, MapSource>;
  private readonly xds: DeltaXdsServer;
  private server: Server | undefined;
  private version = 0;
  /** Identities the authority will not sign. */
  readonly refused = new Set<SpiffeId>();
  readonly issued: string[] = [];
  port = 0;

  private constructor(
    private readonly authority: CertificateAuthority,
    readonly rootPem: string,
  ) {
    this.sources = new Map([addressType, authorizationType].map((type) => [type, new MapSource(type)]));
    this.xds = new DeltaXdsServer({
      sources: [...this.sources.values()],
      events: { request: () => undefined, sent: () => undefined },
      isReady: () => true,
      currentVersion: () => String(this.version),
      now: () => Date.now(),
    });
  }

  static async start(): Promise<ControlPlane> {
    const material = await generateRoot('cluster.local');
    const plane = new ControlPlane(await CertificateAuthority.load(material), material.rootPem);
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

  put<S extends DescMessage>(o: { type: string; name: string; schema: S; message: MessageShape<S> }): void {
    this.version++;
    const isVersioned = o.type === addressType;
    this.source(o.type).resources.set(
      o.name,
      encodeResource({ name: o.name, typeUrl: o.type, schema: o.schema, message: o.message, isVersioned }),
    );
    this.xds.push(new Map([[o.type, new Set([o.name])]]));
  }

  remove(type: string, name: string): void {
    this.version++;
    this.source(type).resources.delete(name);
    this.xds.push(new Map([[type, new Set([name])]]));
  }

  private source(type: string): MapSource {
    const source = this.sources.get(type);
    if (source === undefined) throw new Error(`no source ${type}`);
    return source;
  }

  private readonly createCertificate: handleUnaryCall<IstioCertificateRequest, IstioCertificateResponse> = (
    call,
    callback,
  ) => {
    const wanted = call.request.metadata?.['ImpersonatedIdentity'];
    const isKnown = call.metadata.get('authorization')[0] === 'Bearer node-token';
    if (typeof wanted !== 'string' || !isKnown || this.refused.has(wanted as SpiffeId)) {
      callback({ code: status.UNAUTHENTICATED, details: 'request authenticate failure' });
      return;
    }
    this.authority
      .signLeaf({
        csrPem: call.request.csr,
        // The test decides who may impersonate whom above.
        identity: wanted as SpiffeId,
        ttlSeconds: Number(call.request.validityDuration),
      })
      .then(
        (certChain) => {
          this.issued.push(wanted);
          callback(null, create(IstioCertificateResponseSchema, { certChain }));
        },
        (error: Error) => callback({ code: status.INTERNAL, details: error.message }),
      );
  };
}
