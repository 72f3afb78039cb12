import { isCaptured, capturePorts } from './capture-report.js';
import type { Finding } from './finding.js';
import type { PodFacts } from './pod-report.js';

/** Where a pod's intent and observation differ, most severe first. */
export function podFindings(facts: PodFacts): readonly Finding[] {
  const { intent, observed, certificate, mtls } = facts;
  const findings: Finding[] = [];
  const add = (severity: Finding['severity'], code: string, message: string) =>
    findings.push({ code, severity, message });
  const capture = observed.capture;
  if (intent.isEnrolled && capture !== undefined && !isCaptured(capture)) {
    const dead = capturePorts.filter((p) => capture.listeners[p] !== true);
    const missing = [
      ...(capture.error === undefined ? [] : [capture.error]),
      ...(capture.rules.ok ? [] : [`rules missing: ${capture.rules.missing.slice(0, 3).join('; ')}`]),
      ...(dead.length === 0 ? [] : [`nothing listens on ${dead.join(', ')}`]),
    ];
    add('error', 'MESH0920', `enrolled by ${intent.reason}, but not captured (${missing.join('; ')})`);
  }
  if (!intent.isEnrolled && capture !== undefined && isCaptured(capture)) {
    add('error', 'MESH0921', `captured, although ${intent.reason}`);
  }
  if (intent.isEnrolled) {
    if (observed.captureUnknown !== undefined) {
      add('error', 'MESH0926', `capture not observed: ${observed.captureUnknown}`);
    }
    if (observed.ztunnelUnknown !== undefined) {
      add('error', 'MESH0926', `node proxy not observed: ${observed.ztunnelUnknown}`);
    }
    if (certificate !== undefined && !certificate.isValid) {
      add('error', 'MESH0922', `no valid certificate for ${facts.identity} (${certificate.state})`);
    }
    for (const policy of facts.policies) {
      if (policy.isLoaded === false) {
        add(
          'error',
          'MESH0923',
          `AuthorizationPolicy ${policy.namespace}/${policy.name} is not loaded at ${policy.enforcedBy}`,
        );
      }
      if (policy.isLoaded === undefined) {
        add(
          'warning',
          'MESH0926',
          `AuthorizationPolicy ${policy.namespace}/${policy.name}: ${policy.enforcedBy} could not be asked`,
        );
      }
    }
    const inbound = facts.connections.filter((c) => c.direction === 'inbound' && !c.isEncrypted);
    const outbound = facts.connections.filter((c) => c.direction === 'outbound' && !c.isEncrypted);
    if (inbound.length > 0) add('warning', 'MESH0925', `${inbound.length} inbound connections in plaintext`);
    if (outbound.length > 0) {
      add(
        'info',
        'MESH0925',
        `${outbound.length} outbound connections in plaintext, to peers outside the mesh`,
      );
    }
  }
  for (const service of facts.services) {
    const waypoint = service.waypoint;
    if (waypoint !== undefined && !waypoint.isReady) {
      add(
        'error',
        'MESH0924',
        `Service ${service.name} is bound to waypoint ${waypoint.namespace}/${waypoint.name}, which is not ready: ${waypoint.why}`,
      );
    }
  }
  for (const source of mtls.ignoredDisable) add('warning', 'MESH0927', `${source} asks for DISABLE`);
  if (!facts.pod.isReady) add('warning', 'MESH0928', `the pod is ${facts.pod.phase} and not ready`);
  return findings;
}
