import {
  childOf,
  isObject,
  type Json,
  type JsonObject,
  numberOf,
  objectsOf,
  stringOf,
} from '../../../base/json.js';

function defaultProbe(probe: Json | undefined): void {
  if (!isObject(probe)) return;
  probe.timeoutSeconds ??= 1;
  probe.periodSeconds ??= 10;
  probe.successThreshold ??= 1;
  probe.failureThreshold ??= 3;
  if (isObject(probe.httpGet)) defaultHttpGet(probe.httpGet);
  if (isObject(probe.grpc)) probe.grpc.service ??= '';
}

function defaultHttpGet(get: JsonObject): void {
  get.path ??= '/';
  get.scheme ??= 'HTTP';
}

/** The tag decides: a floating image is pulled always. */
function pullPolicy(image: string): string {
  if (image === '') return 'IfNotPresent';
  if (image.includes('@')) return 'IfNotPresent';
  const tag = /:([^/:]+)$/.exec(image)?.[1] ?? 'latest';
  return tag === 'latest' ? 'Always' : 'IfNotPresent';
}

function defaultContainer(container: JsonObject): void {
  container.imagePullPolicy ??= pullPolicy(stringOf(container.image));
  container.terminationMessagePath ??= '/dev/termination-log';
  container.terminationMessagePolicy ??= 'File';
  for (const port of objectsOf(container.ports)) port.protocol ??= 'TCP';
  for (const env of objectsOf(container.env)) {
    if (!isObject(env.valueFrom)) continue;
    if (isObject(env.valueFrom.fieldRef)) env.valueFrom.fieldRef.apiVersion ??= 'v1';
    if (isObject(env.valueFrom.resourceFieldRef)) env.valueFrom.resourceFieldRef.divisor ??= '0';
  }
  for (const probe of ['livenessProbe', 'readinessProbe', 'startupProbe']) defaultProbe(container[probe]);
  if (isObject(container.lifecycle)) {
    for (const hook of ['postStart', 'preStop']) {
      const handler = container.lifecycle[hook];
      if (isObject(handler) && isObject(handler.httpGet)) defaultHttpGet(handler.httpGet);
    }
  }
}

function defaultVolume(volume: JsonObject): void {
  for (const source of ['secret', 'configMap', 'downwardAPI', 'projected']) {
    const s = volume[source];
    if (isObject(s)) s.defaultMode ??= 420;
  }
  for (const item of objectsOf(isObject(volume.downwardAPI) ? volume.downwardAPI.items : undefined)) {
    if (isObject(item.fieldRef)) item.fieldRef.apiVersion ??= 'v1';
  }
  if (isObject(volume.hostPath)) volume.hostPath.type ??= '';
  if (isObject(volume.projected)) {
    for (const source of objectsOf(volume.projected.sources)) {
      if (isObject(source.serviceAccountToken)) source.serviceAccountToken.expirationSeconds ??= 3600;
      if (!isObject(source.downwardAPI)) continue;
      for (const item of objectsOf(source.downwardAPI.items)) {
        if (isObject(item.fieldRef)) item.fieldRef.apiVersion ??= 'v1';
      }
    }
  }
  if (isObject(volume.ephemeral) && isObject(volume.ephemeral.volumeClaimTemplate))
    childOf(volume.ephemeral.volumeClaimTemplate, 'spec').volumeMode ??= 'Filesystem';
  const sources = Object.keys(volume).filter((k) => k !== 'name');
  if (sources.length === 0) volume.emptyDir = {};
}

/** Fills in what Kubernetes defaults in a pod spec, in pods and in pod templates. */
export function defaultPodSpec(spec: JsonObject): void {
  spec.restartPolicy ??= 'Always';
  spec.terminationGracePeriodSeconds ??= 30;
  spec.dnsPolicy ??= 'ClusterFirst';
  spec.schedulerName ??= 'default-scheduler';
  spec.securityContext ??= {};
  // The old name of the field follows the new one.
  if (stringOf(spec.serviceAccountName) !== '') spec.serviceAccount = spec.serviceAccountName;
  else if (stringOf(spec.serviceAccount) !== '') spec.serviceAccountName = spec.serviceAccount;
  for (const list of ['containers', 'initContainers', 'ephemeralContainers']) {
    for (const container of objectsOf(spec[list])) {
      defaultContainer(container);
    }
  }
  for (const volume of objectsOf(spec.volumes)) defaultVolume(volume);
}

/** Fills in what Kubernetes defaults in pods only, not in the templates they are made from. */
export function defaultPod(spec: JsonObject): void {
  spec.enableServiceLinks ??= true;
  const grace = numberOf(spec.terminationGracePeriodSeconds);
  if (grace !== undefined && grace < 0) spec.terminationGracePeriodSeconds = 1;
  // Never absent in Kubernetes: a client that leaves it out has changed nothing.
  for (const container of objectsOf(spec.ephemeralContainers)) childOf(container, 'resources');
  for (const list of ['containers', 'initContainers']) {
    for (const container of objectsOf(spec[list])) {
      const resources = childOf(container, 'resources');
      if (isObject(resources.limits)) {
        const requests = childOf(resources, 'requests');
        for (const [name, limit] of Object.entries(resources.limits)) requests[name] ??= limit;
      }
      if (spec.hostNetwork !== true) continue;
      for (const port of objectsOf(container.ports)) port.hostPort ??= port.containerPort;
    }
  }
}
