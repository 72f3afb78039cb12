import { setTimeout as delay } from 'node:timers/promises';
import { MeshError } from '#base/errors/mesh-error.js';
import { listWaypoints, type WaypointReport, waypointShortfall } from '../../inspect/waypoint-report.js';
import { isConflict, isNotFound, KubeApiError } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import {
  dataplaneMode,
  gatewayName,
  useWaypoint,
  useWaypointNamespace,
  waypointClass,
} from '#base/kube/labels.js';
import { customResourceDefinitions, gateways, pods, serviceAccounts } from '#base/kube/resource.js';
import type { Gateway, Pod } from '#base/kube/types.js';
import { explainPod, failedCreates } from '../../inspect/pod-trouble.js';
import { fieldManager } from '../apply/field-manager.js';
import { requireNamespace, setNamespaceLabel } from '../namespace-labels.js';
import type { InstallReporter } from '../reporter.js';
import { namedWaypoint } from '../../rules/waypoint-binding.js';
import { accountWaypointName, type WaypointSpec, waypointObject } from './waypoint-object.js';

const pollMs = 150;

export interface WaypointRequest {
  readonly client: KubeClient;
  readonly spec: WaypointSpec & { readonly namespace: string };
  /** Label the namespace to use the waypoint. */
  readonly isEnrolling: boolean;
  /** ServiceAccount to label, whose pods are then called through the waypoint. */
  readonly serviceAccount?: string | undefined;
  /** Replace the label of another waypoint. */
  readonly isOverwriting: boolean;
  /** Milliseconds to wait until it is ready; undefined: do not wait. */
  readonly waitMs: number | undefined;
  readonly signal: AbortSignal;
  readonly reporter: InstallReporter;
}

/** What an application did. */
export interface AppliedWaypoint {
  readonly namespace: string;
  readonly name: string;
  readonly isChanged: boolean;
  /** undefined when nobody waited for it. */
  readonly isReady: true | undefined;
  readonly isNamespaceLabeled: boolean;
  /** ServiceAccount that uses it now. */
  readonly serviceAccount?: string;
}

/**
 * Applies a waypoint, waits for it when asked to, and then labels the namespace or ServiceAccount: one that is bound to
 * a waypoint that cannot serve yet would have its traffic refused.
 * @throws MESH0103, MESH0307, MESH0313 to MESH0315, MESH0318, MESH0320, MESH0970, MESH0971
 */
export async function applyWaypoint(request: WaypointRequest): Promise<AppliedWaypoint> {
  const { client, spec, reporter } = request;
  const object = waypointObject(spec);
  const { namespace, name } = spec;
  const home = await requireNamespace(client, namespace);
  const used = home.metadata.labels?.[useWaypoint];
  if (request.isEnrolling && used !== undefined && used !== name && !request.isOverwriting) {
    throw new MeshError('MESH0314', `Namespace ${namespace} uses waypoint ${used}; nothing was changed`);
  }
  const isUsed = request.isEnrolling || request.serviceAccount !== undefined;
  if (isUsed && home.metadata.labels?.[dataplaneMode] !== 'ambient') {
    reporter.warn(
      `namespace ${namespace} is not in the mesh, its pods will not reach the waypoint: meshctl enroll ${namespace}`,
    );
  }
  const account =
    request.serviceAccount === undefined
      ? undefined
      : await requireFreeAccount(request, request.serviceAccount);
  const isChanged = await applyGateway(client, object, namespace);
  reporter.info(`waypoint ${namespace}/${name} applied${isChanged ? '' : ' (unchanged)'}`);
  if (request.waitMs !== undefined) {
    await waitForWaypoint(request, request.waitMs);
    reporter.info(`waypoint ${namespace}/${name} is ready`);
  }
  const isNamespaceLabeled = request.isEnrolling;
  if (isNamespaceLabeled) {
    await setNamespaceLabel(client, home, { label: useWaypoint, value: name });
    reporter.info(`namespace ${namespace} labeled with "${useWaypoint}: ${name}"`);
    if (request.waitMs === undefined && isChanged) {
      reporter.warn('until the waypoint is ready, calls to the services of the namespace are refused');
    }
  }
  if (account !== undefined) {
    await client.patch(
      { resource: serviceAccounts, namespace, name: account },
      { metadata: { labels: { [useWaypoint]: name, [useWaypointNamespace]: null } } },
    );
    reporter.info(`ServiceAccount ${namespace}/${account} labeled with "${useWaypoint}: ${name}"`);
    if (request.waitMs === undefined && isChanged) {
      reporter.warn('until the waypoint is ready, calls to the pods of the account are refused');
    }
  }
  return {
    namespace,
    name,
    isChanged,
    isReady: request.waitMs === undefined ? undefined : true,
    isNamespaceLabeled,
    ...(account === undefined ? {} : { serviceAccount: account }),
  };
}

/** A ServiceAccount that may be given the waypoint. @throws MESH0103, MESH0970, MESH0971 */
async function requireFreeAccount(request: WaypointRequest, account: string): Promise<string> {
  const { client, spec } = request;
  const { namespace, name } = spec;
  if (name === account) {
    throw new MeshError('MESH0103', `a waypoint named ${name} would run as ServiceAccount ${name} itself`, {
      hint: `Leave the name out: the waypoint is named ${accountWaypointName(account)} then.`,
    });
  }
  const found = await client.getOrUndefined({ resource: serviceAccounts, namespace, name: account });
  if (found === undefined) {
    throw new MeshError(
      'MESH0970',
      `ServiceAccount ${namespace}/${account} does not exist; nothing was changed`,
    );
  }
  const used = namedWaypoint(found.metadata.labels ?? {}, namespace);
  if (used === undefined || request.isOverwriting) return account;
  const text = used === 'none' ? 'none' : `${used.namespace}/${used.name}`;
  if (text === `${namespace}/${name}`) return account;
  throw new MeshError(
    'MESH0971',
    `ServiceAccount ${namespace}/${account} ${used === 'none' ? 'is labeled to use no waypoint' : `uses waypoint ${text}`}; nothing was changed`,
  );
}

async function applyGateway(client: KubeClient, object: Gateway, namespace: string): Promise<boolean> {
  const { name } = object.metadata;
  const live = await client.getOrUndefined<Gateway>({ resource: gateways, namespace, name });
  if (live !== undefined && live.spec.gatewayClassName !== waypointClass) {
    throw new MeshError('MESH0320', `Gateway ${namespace}/${name} is of class ${live.spec.gatewayClassName}`);
  }
  try {
    const after = await client.apply<Gateway>(gateways, object, { fieldManager });
    return live?.metadata.resourceVersion !== after.metadata.resourceVersion;
  } catch (error) {
    if (isNotFound(error)) throw await missingGatewayApi(client, error);
    if (isConflict(error) && error instanceof KubeApiError) {
      throw new MeshError('MESH0307', `Gateway ${namespace}/${name} is managed by somebody else`, {
        evidence: error.message,
        hint: 'Change it where it is managed, or choose another name with --name.',
        cause: error,
      });
    }
    throw error;
  }
}

async function missingGatewayApi(client: KubeClient, cause: unknown): Promise<unknown> {
  const crd = await client.getOrUndefined({
    resource: customResourceDefinitions,
    name: 'gateways.gateway.networking.k8s.io',
  });
  return crd === undefined
    ? new MeshError('MESH0315', 'the cluster does not know the kind Gateway', { cause })
    : cause;
}

/** @throws MESH0318 with the condition and the pods that explain it */
async function waitForWaypoint(request: WaypointRequest, timeoutMs: number): Promise<WaypointReport> {
  const { client, spec, signal, reporter } = request;
  const deadline = performance.now() + timeoutMs;
  const step = reporter.step(`Waypoint ${spec.namespace}/${spec.name}`);
  for (;;) {
    signal.throwIfAborted();
    const [report] = await listWaypoints(client, { namespace: spec.namespace, name: spec.name });
    if (report?.isReady === true) {
      step.succeed('ready');
      return report;
    }
    const missing = report === undefined ? 'the Gateway is gone' : (waypointShortfall(report) ?? 'ready');
    if (performance.now() >= deadline) {
      step.fail('not ready');
      throw new MeshError(
        'MESH0318',
        `waypoint ${spec.namespace}/${spec.name} is not ready after ${Math.round(timeoutMs / 1000)} s: ${missing}`,
        {
          evidence: await explainWaypoint(client, { namespace: spec.namespace, name: spec.name }),
          hint: request.isEnrolling
            ? 'The namespace was not labeled. Once the cause is gone, run the same command again.'
            : undefined,
        },
      );
    }
    step.update(missing);
    await delay(pollMs, undefined, { signal });
  }
}

async function explainWaypoint(
  client: KubeClient,
  at: { readonly namespace: string; readonly name: string },
): Promise<string> {
  const own = await client.list<Pod>(pods, {
    namespace: at.namespace,
    labelSelector: `${gatewayName}=${at.name}`,
  });
  if (own.length === 0) {
    const refusals = await failedCreates(client, at.namespace, at.name);
    return refusals.length === 0
      ? 'the controller has not created its pods; see the logs of Deployment istiod'
      : refusals.map((message) => `FailedCreate: ${message}`).join('\n');
  }
  const lines = await Promise.all(own.map((pod) => explainPod(client, pod)));
  return lines.filter((line) => line !== undefined).join('\n') || 'its pods are ready';
}
