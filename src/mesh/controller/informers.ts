import type { KubeClient } from '#base/kube/client.js';
import { Reflector, type ReflectorChange } from '#base/kube/reflector.js';
import * as resources from '#base/kube/resource.js';
import type {
  AuthorizationPolicy,
  ConfigMap,
  EndpointSlice,
  Gateway,
  GatewayClass,
  KubeObject,
  Namespace,
  Node,
  PeerAuthentication,
  Pod,
  Service,
} from '#base/kube/types.js';
import { messageOf } from '#base/errors/mesh-error.js';
import type { Logger } from '#base/telemetry/log.js';
import { nodeFacts, podFacts, serviceFacts, sliceFacts } from '../rules/facts.js';
import {
  gatewayClassFacts,
  gatewayFacts,
  meshKey,
  namespaceFacts,
  objectKey,
  policyFacts,
  type Inputs,
} from './model/inputs.js';
import { parseMeshConfig, type MeshConfig } from '../rules/mesh-config.js';
import { peerAuthFacts } from '../rules/mtls-mode.js';

/** Local copies of the kinds that other parts of the controller read as they are. */
export interface Informers {
  readonly pods: Reflector<Pod>;
  readonly services: Reflector<Service>;
  readonly namespaces: Reflector<Namespace>;
  readonly gateways: Reflector<Gateway>;
  readonly gatewayClasses: Reflector<GatewayClass>;
  readonly policies: Reflector<AuthorizationPolicy>;
  /** Starts every watch; resolves when all have been read once. Kinds that do not exist count as empty. */
  start(signal: AbortSignal): Promise<void>;
}

export interface InformerDeps {
  readonly client: KubeClient;
  readonly inputs: Inputs;
  readonly systemNamespace: string;
  readonly meshDefaults: MeshConfig;
  readonly log: Logger;
}

/** Name of the ConfigMap with the mesh options, and its key. */
const meshConfigMap = 'istio';
const meshConfigKey = 'mesh';

/** Watches every kind the mesh is derived from and keeps the inputs equal to it. */
export function createInformers(deps: InformerDeps): Informers {
  const { client, inputs } = deps;
  const onError = (message: string) => deps.log.warn('watch failed, retrying', { error: message });
  const reflect = <T extends KubeObject>(
    resource: resources.Resource,
    take: (key: string, object: T | undefined) => void,
  ) => {
    const reflector = new Reflector<T>({ client, resource, onError });
    reflector.onChange((change) => {
      const key = objectKey(change.object);
      try {
        take(key, presentIn(change));
      } catch (error) {
        // One object that cannot be read must not keep the others of its kind from being followed.
        deps.log.error('an object cannot be used, keeping what it last meant', {
          object: `${resource.kind} ${key}`,
          error: messageOf(error),
        });
      }
    });
    return reflector;
  };
  const into =
    <T, F>(input: { set(key: string, value: F | undefined): void }, toFacts: (object: T) => F | undefined) =>
    (key: string, object: T | undefined) =>
      input.set(key, object === undefined ? undefined : toFacts(object));

  const pods = reflect<Pod>(resources.pods, into(inputs.pods, podFacts));
  const services = reflect<Service>(resources.services, into(inputs.services, serviceFacts));
  const namespaces = reflect<Namespace>(resources.namespaces, into(inputs.namespaces, namespaceFacts));
  const gateways = reflect<Gateway>(resources.gateways, into(inputs.gateways, gatewayFacts));
  const gatewayClasses = reflect<GatewayClass>(
    resources.gatewayClasses,
    into(inputs.gatewayClasses, gatewayClassFacts),
  );
  const policies = reflect<AuthorizationPolicy>(
    resources.authorizationPolicies,
    into(inputs.policies, policyFacts),
  );
  const others = [
    reflect<EndpointSlice>(resources.endpointSlices, into(inputs.slices, sliceFacts)),
    reflect<Node>(resources.nodes, into(inputs.nodes, nodeFacts)),
    reflect<PeerAuthentication>(resources.peerAuthentications, into(inputs.peerAuths, peerAuthFacts)),
    meshConfigReflector(deps, onError),
  ];
  const all = [pods, services, namespaces, gateways, gatewayClasses, policies, ...others];
  return {
    pods,
    services,
    namespaces,
    gateways,
    gatewayClasses,
    policies,
    start: async (signal) => {
      for (const reflector of all) reflector.start(signal);
      await Promise.all(all.map((reflector) => reflector.synced()));
    },
  };
}

function presentIn<T extends KubeObject>(change: ReflectorChange<T>): T | undefined {
  return change.type === 'deleted' ? undefined : change.object;
}

/** Follows the mesh options. Options that cannot be read leave the last good ones in force. */
function meshConfigReflector(deps: InformerDeps, onError: (message: string) => void): Reflector<ConfigMap> {
  const reflector = new Reflector<ConfigMap>({
    client: deps.client,
    resource: resources.configMaps,
    namespace: deps.systemNamespace,
    fieldSelector: `metadata.name=${meshConfigMap}`,
    onError,
  });
  reflector.onChange((change) => {
    // A server that ignores the field selector must not make another ConfigMap the mesh options.
    if (change.object.metadata.name !== meshConfigMap) return;
    const text = presentIn(change)?.data?.[meshConfigKey] ?? '';
    try {
      deps.inputs.mesh.set(meshKey, parseMeshConfig(text, deps.meshDefaults));
    } catch (error) {
      deps.log.error('the mesh options cannot be used, keeping the last good ones', {
        error: messageOf(error),
      });
    }
  });
  return reflector;
}
