import { create } from '@bufbuild/protobuf';
import { anyPack, DurationSchema } from '@bufbuild/protobuf/wkt';
import type { ServicePort } from '#base/kube/types.js';
import { ipToBytes } from '#base/net/address.js';
import { affinityExtension } from '../../xds/extensions.js';
import {
  AddressSchema,
  type Extension,
  ExtensionSchema,
  IPFamilies,
  LoadBalancing_HealthPolicy,
  LoadBalancing_Mode,
  LoadBalancing_Scope,
  LoadBalancingSchema,
  PortSchema,
  ServiceSchema,
  type LoadBalancing,
  type NetworkAddress,
  NetworkAddressSchema,
  type Service,
} from '../../xds/gen/istio/workload_pb.js';
import { decodeResource, encodeResource, type WireResource } from '../../xds/server/resource.js';
import { addressType } from '../../xds/type-urls.js';
import { appProtocolOf } from '../../rules/app-protocol.js';
import type { ServiceFacts } from '../../rules/facts.js';
import { serviceHostname } from '../../rules/service-name.js';
import type { WaypointBinding } from '../../rules/waypoint-binding.js';

/** A Service as the mesh sees it. */
export class MeshService {
  readonly facts: ServiceFacts;
  readonly binding: WaypointBinding;
  readonly wire: WireResource;

  constructor(o: {
    readonly facts: ServiceFacts;
    readonly binding: WaypointBinding;
    readonly wire: WireResource;
  }) {
    this.facts = o.facts;
    this.binding = o.binding;
    this.wire = o.wire;
  }

  /** `namespace/hostname`, its resource name. */
  get key(): string {
    return this.wire.name;
  }

  get message(): Service {
    const { type } = decodeResource(AddressSchema, this.wire);
    if (type.case !== 'service') throw new Error(`${this.key} is encoded as a ${type.case}`);
    return type.value;
  }
}

/** What a Service's message depends on beyond itself. */
export interface ServiceContext {
  readonly clusterDomain: string;
  readonly network: string;
  readonly binding: WaypointBinding;
  /** Lets ingress gateways route through the waypoint. */
  readonly ingressUsesWaypoint: boolean;
  /** Traffic distribution of the namespace, used when the Service names none. */
  readonly namespaceTrafficDistribution: string | undefined;
}

/** Builds a Service's resource. */
export function meshService(facts: ServiceFacts, context: ServiceContext): MeshService {
  const hostname = serviceHostname(facts.namespace, facts.name, context.clusterDomain);
  const loadBalancing = loadBalancingOf(facts, context.namespaceTrafficDistribution);
  const message = create(ServiceSchema, {
    name: facts.name,
    namespace: facts.namespace,
    hostname,
    addresses: facts.clusterIps.flatMap((ip) => networkAddress(ip, context.network)),
    ports: facts.ports.map((port) =>
      create(PortSchema, {
        servicePort: port.port,
        targetPort: sharedTargetPort(port, facts),
        appProtocol: appProtocolOf(port),
      }),
    ),
    ...(context.binding.kind === 'bound' ? { waypoint: context.binding.address } : {}),
    ...(loadBalancing === undefined ? {} : { loadBalancing }),
    ipFamilies: ipFamiliesOf(facts.ipFamilies),
    ...(facts.affinitySeconds === undefined ? {} : { extensions: [affinity(facts.affinitySeconds)] }),
    canonical: true,
    ingressUseWaypoint: context.ingressUsesWaypoint && context.binding.kind === 'bound',
  });
  const wire = encodeResource({
    name: `${facts.namespace}/${hostname}`,
    typeUrl: addressType,
    schema: AddressSchema,
    message: create(AddressSchema, { type: { case: 'service', value: message } }),
    aliases: facts.clusterIps.map((ip) => `${context.network}/${ip}`),
    isVersioned: true,
  });
  return new MeshService({ facts, binding: context.binding, wire });
}

function affinity(seconds: number): Extension {
  const config = anyPack(DurationSchema, create(DurationSchema, { seconds: BigInt(seconds) }));
  return create(ExtensionSchema, { name: affinityExtension, config });
}

/** Zero leaves it to each workload's own port map: a named port differs by pod, and hand-made endpoints say their own. */
function sharedTargetPort({ port, targetPort }: ServicePort, { selector }: ServiceFacts): number {
  return typeof targetPort === 'string' || selector === undefined ? 0 : targetPort || port;
}

function networkAddress(ip: string, network: string): NetworkAddress[] {
  const address = ipToBytes(ip);
  return address === undefined ? [] : [create(NetworkAddressSchema, { network, address })];
}

function ipFamiliesOf(families: readonly string[]): IPFamilies {
  if (families.length > 1) return IPFamilies.DUAL;
  if (families.length === 0) return IPFamilies.AUTOMATIC;
  return families[0] === 'IPv6' ? IPFamilies.IPV6_ONLY : IPFamilies.IPV4_ONLY;
}

function loadBalancingOf(facts: ServiceFacts, inherited: string | undefined): LoadBalancing | undefined {
  const { NODE } = LoadBalancing_Scope;
  const healthPolicy = facts.publishesUnready
    ? LoadBalancing_HealthPolicy.ALLOW_ALL
    : LoadBalancing_HealthPolicy.ONLY_HEALTHY;
  if (facts.isLocalOnly) {
    return create(LoadBalancingSchema, {
      routingPreference: [NODE],
      mode: LoadBalancing_Mode.STRICT,
      healthPolicy,
    });
  }
  const preference = preferenceOf(facts.trafficDistribution ?? inherited);
  if (preference !== undefined) {
    return create(LoadBalancingSchema, {
      routingPreference: preference,
      mode: LoadBalancing_Mode.FAILOVER,
      healthPolicy,
    });
  }
  return facts.publishesUnready ? create(LoadBalancingSchema, { healthPolicy }) : undefined;
}

function preferenceOf(distribution: string | undefined): LoadBalancing_Scope[] | undefined {
  const { NETWORK, REGION, ZONE, SUBZONE, NODE } = LoadBalancing_Scope;
  switch (distribution?.toLowerCase()) {
    case 'preferclose':
    case 'prefersamezone':
      return [NETWORK, REGION, ZONE];
    case 'prefersamenode':
      return [NETWORK, REGION, ZONE, SUBZONE, NODE];
    default:
      return undefined;
  }
}
