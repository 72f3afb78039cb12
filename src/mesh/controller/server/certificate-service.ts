import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  status,
  type handleUnaryCall,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import { formatSpiffeId, parseSpiffe, type SpiffeId } from '../../identity/spiffe.js';
import { sameIdentities } from '../../rules/trust-domain.js';
import {
  IstioCertificateRequestSchema,
  IstioCertificateResponseSchema,
  type IstioCertificateRequest,
  type IstioCertificateResponse,
} from '../../xds/gen/istio/ca_pb.js';
import { createCertificatePath } from '../../xds/type-urls.js';
import type { Logger } from '#base/telemetry/log.js';
import type { MeshTrust } from '../authority/mesh-trust.js';
import { callerFrom } from './call-credentials.js';
import { refuseImpersonation, type NodeAuthorizerDeps } from './node-authorizer.js';
import type { Caller, TokenAuthenticator } from './token-authenticator.js';

/** Events the service counts. */
export interface CertificateEvents {
  requested(): void;
  authenticationFailed(): void;
  refused(): void;
  signFailed(): void;
  issued(): void;
}

export interface CertificateServiceDeps {
  readonly trust: Pick<MeshTrust, 'signer' | 'rootsPem'>;
  readonly authenticator: TokenAuthenticator;
  readonly nodes: NodeAuthorizerDeps;
  /** False until pods are known; requests before that are told to retry. */
  readonly isReady: () => boolean;
  readonly events: CertificateEvents;
  readonly log: Logger;
}

/** The one answer to every caller that may not have a certificate: reasons are for our log. */
const refusal = 'request authenticate failure';

/** The gRPC certificate signing service, for `grpc.Server.addService`. */
export function certificateService(deps: CertificateServiceDeps): {
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
} {
  const createCertificate: handleUnaryCall<IstioCertificateRequest, IstioCertificateResponse> = (
    call,
    callback,
  ) => {
    issue(deps, { metadata: call.metadata, request: call.request }).then(
      (certChain) => callback(null, create(IstioCertificateResponseSchema, { certChain })),
      (error: unknown) => {
        const isRefusal = error instanceof Refusal;
        if (!isRefusal) deps.log.error('signing failed', { error: messageOf(error) });
        callback({
          code: isRefusal ? error.code : status.INTERNAL,
          details: isRefusal ? error.message : 'the certificate could not be signed',
        });
      },
    );
  };
  return { definition, implementation: { createCertificate } };
}

class Refusal extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

async function issue(
  deps: CertificateServiceDeps,
  call: { readonly metadata: Parameters<typeof callerFrom>[0]; readonly request: IstioCertificateRequest },
): Promise<string[]> {
  deps.events.requested();
  if (!deps.isReady()) throw new Refusal(status.UNAVAILABLE, 'the controller has not read the cluster yet');
  const caller = await callerFrom(call.metadata, deps.authenticator).catch((error: unknown) => {
    // The API server could not be asked: the caller may be genuine and should retry.
    deps.log.warn('a token cannot be checked now', { error: messageOf(error) });
    throw new Refusal(status.UNAVAILABLE, 'the token cannot be checked now');
  });
  if (caller === undefined) {
    deps.events.authenticationFailed();
    throw new Refusal(status.UNAUTHENTICATED, refusal);
  }
  const identity = identityFor(deps, { caller, request: call.request });
  const { signer, rootsPem } = deps.trust;
  if (signer === undefined)
    throw new Refusal(
      status.UNAVAILABLE,
      'the new root is being distributed; certificates follow in a moment',
    );
  try {
    const chain = await signer.signLeaf({
      csrPem: call.request.csr,
      identity,
      // A proxy that was started with the trust domain of before, or of after, keeps its name until it is replaced.
      alternatives: sameIdentities(identity, deps.nodes.names()),
      ttlSeconds: Number(call.request.validityDuration),
      rootsPem,
    });
    deps.events.issued();
    deps.log.debug('issued a certificate', { identity });
    return chain;
  } catch (error) {
    deps.events.signFailed();
    // Only a fault of the request is told; one of the authority is for our log.
    if (!(error instanceof MeshError && error.code === 'MESH0403')) throw error;
    deps.log.warn('refused to sign', { identity, error: error.message });
    throw new Refusal(status.INVALID_ARGUMENT, error.message);
  }
}

/** The identity to certify: the caller's own, or the one it may speak for. */
function identityFor(
  deps: CertificateServiceDeps,
  input: { readonly caller: Caller; readonly request: IstioCertificateRequest },
): SpiffeId {
  const { caller, request } = input;
  const requested = request.metadata?.['ImpersonatedIdentity'];
  if (requested === undefined || requested === '') {
    return formatSpiffeId({ trustDomain: deps.nodes.names().trustDomain, ...caller });
  }
  const parsed = typeof requested === 'string' ? parseSpiffe(requested) : undefined;
  const reason =
    parsed === undefined
      ? 'the requested identity cannot be read'
      : refuseImpersonation({ caller, requested: parsed }, deps.nodes);
  if (parsed === undefined || reason !== undefined) {
    deps.events.refused();
    deps.log.warn('refused to impersonate', {
      caller: `${caller.namespace}/${caller.serviceAccount}`,
      requested: typeof requested === 'string' ? requested.slice(0, maxLoggedChars) : typeof requested,
      reason,
    });
    throw new Refusal(status.UNAUTHENTICATED, refusal);
  }
  return parsed.id;
}

const maxLoggedChars = 300;

const definition: ServiceDefinition = {
  createCertificate: {
    path: createCertificatePath,
    requestStream: false,
    responseStream: false,
    requestSerialize: (message: IstioCertificateRequest) =>
      Buffer.from(toBinary(IstioCertificateRequestSchema, message)),
    requestDeserialize: (bytes: Buffer) => fromBinary(IstioCertificateRequestSchema, bytes),
    responseSerialize: (message: IstioCertificateResponse) =>
      Buffer.from(toBinary(IstioCertificateResponseSchema, message)),
    responseDeserialize: (bytes: Buffer) => fromBinary(IstioCertificateResponseSchema, bytes),
  },
};
