import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  status,
  type handleBidiStreamingCall,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import {
  type DiscoveryRequest,
  DiscoveryRequestSchema,
  type DiscoveryResponse,
  DiscoveryResponseSchema,
} from '../../xds/gen/envoy/discovery_pb.js';
import { ClientConfigSchema, ConfigStatus } from '../../xds/gen/envoy/status_pb.js';
import type { ConnectionRecord } from '../../xds/server/server.js';
import type { SubscriptionStatus } from '../../xds/server/subscription.js';
import { stateOfTheWorldXdsPath } from '../../xds/type-urls.js';
import { callerFrom } from './call-credentials.js';
import { type DebugPagesDeps, debugPages } from './debug-pages.js';
import { podOfNode } from '../../xds/server/node-id.js';
import type { Caller, TokenAuthenticator } from './token-authenticator.js';

export interface StatusServiceDeps extends DebugPagesDeps {
  readonly authenticator: TokenAuthenticator;
  readonly systemNamespace: string;
  /** Who answers, for clients that ask several replicas. */
  readonly self: { readonly podName: string; readonly version: string };
}

/** Asks for the state of every proxy's subscriptions (`istioctl proxy-status`). */
const syncType = 'istio.io/debug/syncz';
/** Asks for the diagnostic document that is the request's only resource name (`istioctl x internal-debug`). */
const pageType = 'istio.io/debug';
const clientConfigType = 'type.googleapis.com/envoy.service.status.v3.ClientConfig';

type Any = DiscoveryResponse['resources'][number];

/**
 * The state-of-the-world half of xDS, for `grpc.Server.addService`. Proxies of the mesh use the delta
 * half; here istioctl asks about them. Callers outside the system namespace learn of their own
 * namespace's proxies only.
 */
export function statusService(deps: StatusServiceDeps): {
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
} {
  const handler: handleBidiStreamingCall<DiscoveryRequest, DiscoveryResponse> = (call) => {
    const fail = (code: number, details: string): void => void call.emit('error', { code, details });
    const caller = callerFrom(call.metadata, deps.authenticator);
    let nonceCount = 0;
    call.on('data', (request: DiscoveryRequest) => {
      caller.then(
        (known) => {
          if (known === undefined) return fail(status.UNAUTHENTICATED, 'authentication failure');
          const resources = answer(deps, request, known);
          if (typeof resources === 'number') return fail(resources, refusals[resources]);
          nonceCount += 1;
          call.write(responseTo(deps, request, { resources, nonce: String(nonceCount) }));
        },
        () => fail(status.UNAVAILABLE, 'the token cannot be checked now'),
      );
    });
    call.on('error', () => undefined); // the client is gone, or is being told why
    call.on('end', () => call.end());
  };
  return { definition, implementation: { streamAggregatedResources: handler } };
}

type RefusalCode = status.UNIMPLEMENTED | status.PERMISSION_DENIED | status.INVALID_ARGUMENT;

const refusals: Readonly<Record<RefusalCode, string>> = {
  [status.UNIMPLEMENTED]: `this stream answers ${syncType} and ${pageType}; proxies use DeltaAggregatedResources`,
  [status.PERMISSION_DENIED]: 'the debug information is not for this identity',
  [status.INVALID_ARGUMENT]: 'exactly one debug request is required',
};

function answer(deps: StatusServiceDeps, request: DiscoveryRequest, caller: Caller): Any[] | RefusalCode {
  const isOperator = caller.namespace === deps.systemNamespace;
  if (request.typeUrl === syncType)
    return deps.xds.connections
      .filter(
        (record) => isOperator || podOfNode(record.connection.subscriber).namespace === caller.namespace,
      )
      .map(clientConfigOf);
  if (request.typeUrl !== pageType) return status.UNIMPLEMENTED;
  if (!isOperator) return status.PERMISSION_DENIED;
  const [name, ...others] = request.resourceNames;
  if (name === undefined || others.length > 0) return status.INVALID_ARGUMENT;
  const page = debugPages[`/debug/${name.split('?')[0]}`];
  const text = page === undefined ? '404 page not found\n' : JSON.stringify(page(deps), undefined, 2);
  return [anyOf(pageType, Buffer.from(text))];
}

function responseTo(
  { self }: StatusServiceDeps,
  { typeUrl }: DiscoveryRequest,
  { resources, nonce }: { readonly resources: Any[]; readonly nonce: string },
): DiscoveryResponse {
  // What istioctl reads as the instance that answered.
  const identifier = JSON.stringify({
    Component: 'istiod',
    ID: self.podName,
    Info: { version: self.version },
  });
  return create(DiscoveryResponseSchema, { typeUrl, nonce, resources, controlPlane: { identifier } });
}

function clientConfigOf({ connection }: ConnectionRecord): Any {
  const { nodeId, metadata } = connection.subscriber;
  const { id = nodeId, namespace } = podOfNode(connection.subscriber);
  const config = create(ClientConfigSchema, {
    node: {
      id,
      metadata: {
        CLUSTER_ID: metadata['CLUSTER_ID'] ?? '',
        NAMESPACE: namespace,
        ISTIO_VERSION: metadata['ISTIO_VERSION'] ?? '',
      },
    },
    genericXdsConfigs: [...connection.status()]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([typeUrl, subscription]) => ({
        typeUrl,
        configStatus: configStatusOf(subscription),
        ...(subscription.sentAtMs !== undefined && { lastUpdated: timestampFromMs(subscription.sentAtMs) }),
        ...(subscription.lastError !== undefined && { errorState: { details: subscription.lastError } }),
      })),
  });
  return anyOf(clientConfigType, toBinary(ClientConfigSchema, config));
}

function configStatusOf({ lastError, sentNonce, ackedNonce }: SubscriptionStatus): ConfigStatus {
  if (lastError !== undefined) return ConfigStatus.ERROR;
  if (sentNonce === '') return ConfigStatus.NOT_SENT;
  return sentNonce === ackedNonce ? ConfigStatus.SYNCED : ConfigStatus.STALE;
}

function anyOf(typeUrl: string, value: Uint8Array): Any {
  return { $typeName: 'google.protobuf.Any', typeUrl, value };
}

const definition: ServiceDefinition = {
  streamAggregatedResources: {
    path: stateOfTheWorldXdsPath,
    requestStream: true,
    responseStream: true,
    requestSerialize: (message: DiscoveryRequest) => Buffer.from(toBinary(DiscoveryRequestSchema, message)),
    requestDeserialize: (bytes: Buffer) => fromBinary(DiscoveryRequestSchema, bytes),
    responseSerialize: (message: DiscoveryResponse) =>
      Buffer.from(toBinary(DiscoveryResponseSchema, message)),
    responseDeserialize: (bytes: Buffer) => fromBinary(DiscoveryResponseSchema, bytes),
  },
};
