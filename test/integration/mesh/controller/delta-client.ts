import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Client, credentials, Metadata, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  type DiscoveryRequest,
  DiscoveryRequestSchema,
  type DiscoveryResponse,
  DiscoveryResponseSchema,
} from '#mesh/xds/gen/envoy/discovery_pb.js';
import { AuthorizationSchema, type Authorization } from '#mesh/xds/gen/istio/authorization_pb.js';
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from '#mesh/xds/gen/istio/ca_pb.js';
import { AddressSchema, type Service, type Workload } from '#mesh/xds/gen/istio/workload_pb.js';
import { AuthorizationPolicySchema, type AuthorizationPolicy } from '#mesh/xds/gen/meshctl/l7_pb.js';
import {
  addressType,
  authorizationType,
  createCertificatePath,
  deltaXdsPath,
  l7AuthorizationType,
  stateOfTheWorldXdsPath,
} from '#mesh/xds/type-urls.js';

export interface NodeInfo {
  readonly id: string;
  readonly metadata?: Record<string, string>;
}

/** A data plane written by hand: one delta stream that acknowledges and keeps what it is sent. */
export class DeltaClient {
  readonly workloads = new Map<string, Workload>();
  readonly services = new Map<string, Service>();
  readonly policies = new Map<string, Authorization>();
  readonly l7 = new Map<string, AuthorizationPolicy>();
  readonly versions = new Map<string, string>();
  readonly responses: DeltaDiscoveryResponse[] = [];
  error: ServiceError | undefined;
  readonly #client: Client;
  readonly #stream: ClientDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;
  readonly #node: NodeInfo;

  constructor(o: { target: string; rootPem: string; token: string; node: NodeInfo }) {
    this.#node = o.node;
    this.#client = secureClient(o.target, o.rootPem);
    this.#stream = this.#client.makeBidiStreamRequest(
      deltaXdsPath,
      (m: DeltaDiscoveryRequest) => Buffer.from(toBinary(DeltaDiscoveryRequestSchema, m)),
      (b: Buffer) => fromBinary(DeltaDiscoveryResponseSchema, b),
      bearer(o.token),
    );
    this.#stream.on('data', (response: DeltaDiscoveryResponse) => this.#take(response));
    this.#stream.on('error', (error: ServiceError) => {
      this.error = error;
    });
  }

  subscribe(typeUrl: string, initial: Record<string, string> = {}, names: string[] = []): void {
    this.#stream.write(
      create(DeltaDiscoveryRequestSchema, {
        node: { id: this.#node.id, metadata: this.#node.metadata ?? {} },
        typeUrl,
        initialResourceVersions: initial,
        resourceNamesSubscribe: names,
      }),
    );
  }

  close(): void {
    this.#stream.cancel();
    this.#client.close();
  }

  #take(response: DeltaDiscoveryResponse): void {
    this.responses.push(response);
    for (const { name, version, resource } of response.resources) {
      this.versions.set(name, version);
      const bytes = resource?.value ?? new Uint8Array();
      if (response.typeUrl === authorizationType)
        this.policies.set(name, fromBinary(AuthorizationSchema, bytes));
      if (response.typeUrl === l7AuthorizationType)
        this.l7.set(name, fromBinary(AuthorizationPolicySchema, bytes));
      if (response.typeUrl !== addressType) continue;
      const { type } = fromBinary(AddressSchema, bytes);
      if (type.case === 'workload') this.workloads.set(name, type.value);
      if (type.case === 'service') this.services.set(name, type.value);
    }
    for (const name of response.removedResources) {
      if (response.typeUrl === authorizationType) this.policies.delete(name);
      if (response.typeUrl === l7AuthorizationType) this.l7.delete(name);
      if (response.typeUrl === addressType && !this.workloads.delete(name)) this.services.delete(name);
    }
    this.#stream.write(
      create(DeltaDiscoveryRequestSchema, { typeUrl: response.typeUrl, responseNonce: response.nonce }),
    );
  }
}

/** Asks for a certificate; rejects with the gRPC error. */
export function createCertificate(o: {
  target: string;
  rootPem: string;
  token: string;
  csr: string;
  impersonate?: string;
}): Promise<string[]> {
  const client = secureClient(o.target, o.rootPem);
  const request = create(IstioCertificateRequestSchema, {
    csr: o.csr,
    validityDuration: 3600n,
    ...(o.impersonate === undefined ? {} : { metadata: { ImpersonatedIdentity: o.impersonate } }),
  });
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      createCertificatePath,
      (m: typeof request) => Buffer.from(toBinary(IstioCertificateRequestSchema, m)),
      (b: Buffer) => fromBinary(IstioCertificateResponseSchema, b),
      request,
      bearer(o.token),
      (error, response) => {
        client.close();
        if (error !== null) reject(error);
        else resolve(response?.certChain ?? []);
      },
    );
  });
}

/** Asks as istioctl does: one request on a state-of-the-world stream; rejects with the gRPC error. */
export function askOnce(o: {
  target: string;
  rootPem: string;
  token: string;
  request: { readonly typeUrl: string; readonly resourceNames?: string[] };
}): Promise<DiscoveryResponse> {
  const client = secureClient(o.target, o.rootPem);
  const stream = client.makeBidiStreamRequest(
    stateOfTheWorldXdsPath,
    (m: DiscoveryRequest) => Buffer.from(toBinary(DiscoveryRequestSchema, m)),
    (b: Buffer) => fromBinary(DiscoveryResponseSchema, b),
    bearer(o.token),
  );
  const node = { id: 'sidecar~10.0.0.9~test-1.default~default.svc.cluster.local' };
  stream.write(create(DiscoveryRequestSchema, { node, responseNonce: 'any', ...o.request }));
  return new Promise<DiscoveryResponse>((resolve, reject) => {
    stream.once('data', resolve);
    stream.on('error', reject);
  }).finally(() => {
    stream.cancel();
    client.close();
  });
}

function secureClient(target: string, rootPem: string): Client {
  return new Client(target, credentials.createSsl(Buffer.from(rootPem)), {
    'grpc.ssl_target_name_override': 'istiod.istio-system.svc',
    'grpc.default_authority': 'istiod.istio-system.svc',
    'grpc.enable_http_proxy': 0,
  });
}

function bearer(token: string): Metadata {
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  return metadata;
}
