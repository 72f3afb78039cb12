import { capturePorts, isCaptured, type PodCapture } from '../capture-report.js';
import type { Finding, Severity } from '../findings/finding.js';
import { mtlsDifference } from '../mtls-report.js';
import type { AppliedPolicy } from '../policies/applied-policy.js';
import type { WaypointUse } from '../waypoint-bindings.js';
import { distrustText } from '../trust.js';
import type { PodEvidence } from './pod-evidence.js';

/** Where a pod's intent and observation differ, and what a reader should know besides. */
export function podFindings(evidence: PodEvidence): readonly Finding[] {
  const { intent, pod, mtls } = evidence;
  const isEnrolled = intent.isEnrolled;
  return [
    ...captureFindings(evidence),
    ...(isEnrolled ? proxyFindings(evidence) : []),
    ...evidence.policies.flatMap((policy) => policyFindings(policy, isEnrolled)),
    ...evidence.distrust.map((d) => finding('error', 'MESH0935', distrustText(d))),
    ...(isEnrolled ? connectionFindings(evidence) : []),
    ...(evidence.waypoint === undefined ? [] : waypointFindings('the pod', evidence.waypoint)),
    ...evidence.services.flatMap(({ name, waypoint }) =>
      waypoint === undefined ? [] : waypointFindings(`Service ${name}`, waypoint),
    ),
    ...mtls.ignoredDisable.map((source) => finding('warning', 'MESH0927', `${source} asks for DISABLE`)),
    ...(pod.isReady ? [] : [finding('warning', 'MESH0928', `the pod is ${pod.phase} and not ready`)]),
    ...evidence.assumptions.map((what) => finding('warning', 'MESH0926', what)),
  ];
}

function finding(severity: Severity, code: string, message: string): Finding {
  return { code, severity, message };
}

function captureFindings({ intent, observed }: PodEvidence): Finding[] {
  const { capture, captureUnknown } = observed;
  if (capture === undefined) {
    return intent.isEnrolled && captureUnknown !== undefined
      ? [finding('error', 'MESH0926', `capture not observed: ${captureUnknown}`)]
      : [];
  }
  const findings: Finding[] = [];
  if (intent.isEnrolled && !isCaptured(capture)) {
    const missing = missingCapture(capture).join('; ');
    findings.push(
      finding('error', 'MESH0920', `enrolled by ${intent.reason}, but not captured (${missing})`),
    );
  }
  if (!intent.isEnrolled && isCaptured(capture)) {
    findings.push(finding('error', 'MESH0921', `captured, although ${intent.reason}`));
  }
  const { wanted } = capture;
  if (wanted !== undefined && wanted.enroll !== intent.isEnrolled) {
    const decision = (isIn: boolean, why: string) => `${isIn ? 'in' : 'out'} (${why})`;
    const settings = decision(intent.isEnrolled, intent.reason);
    const agent = decision(wanted.enroll, wanted.reason);
    findings.push(
      finding('error', 'MESH0930', `by its settings the pod is ${settings}, by the agent ${agent}`),
    );
  }
  return findings;
}

function missingCapture(capture: PodCapture): string[] {
  const dead = capturePorts.filter((port) => capture.listeners[port] !== true);
  return [
    ...(capture.error === undefined ? [] : [capture.error]),
    ...(capture.rules.ok ? [] : [`rules missing: ${capture.rules.missing.slice(0, 3).join('; ')}`]),
    ...(dead.length === 0 ? [] : [`nothing listens on ${dead.join(', ')}`]),
  ];
}

function proxyFindings({ observed, certificate, identity, mtls }: PodEvidence): Finding[] {
  const difference = observed.mtls === undefined ? undefined : mtlsDifference(mtls, observed.mtls);
  return [
    ...(observed.ztunnelUnknown === undefined
      ? []
      : [finding('error', 'MESH0926', `node proxy not observed: ${observed.ztunnelUnknown}`)]),
    ...(certificate === undefined || certificate.isValid
      ? []
      : [finding('error', 'MESH0922', `no valid certificate for ${identity} (${certificate.state})`)]),
    ...(difference === undefined ? [] : [finding('error', 'MESH0933', `mTLS mode: ${difference}`)]),
  ];
}

function policyFindings(policy: AppliedPolicy, isEnrolled: boolean): Finding[] {
  const name = `AuthorizationPolicy ${policy.namespace}/${policy.name}`;
  const { enforcedBy, difference, shortfall, isLoaded } = policy;
  if (enforcedBy === 'nothing') {
    // Whoever keeps a pod out of the mesh knows; policies for a whole namespace or mesh concern it all the same.
    return [finding(isEnrolled ? 'error' : 'info', 'MESH0931', `${name}: ${shortfall}`)];
  }
  return [
    ...(isLoaded === undefined
      ? [finding('warning', 'MESH0926', `${name}: ${enforcedBy} could not be asked`)]
      : []),
    ...(difference === undefined
      ? []
      : [
          finding(
            'error',
            isLoaded === true ? 'MESH0934' : 'MESH0923',
            `${name}: ${difference} (${enforcedBy})`,
          ),
        ]),
    ...(shortfall === undefined ? [] : [finding('warning', 'MESH0932', `${name}: ${shortfall}`)]),
  ];
}

function connectionFindings({ connections }: PodEvidence): Finding[] {
  const plain = connections.filter(({ isEncrypted }) => !isEncrypted);
  const count = (direction: string) => plain.filter((c) => c.direction === direction).length;
  const [inbound, outbound] = [count('inbound'), count('outbound')];
  return [
    ...(inbound === 0 ? [] : [finding('warning', 'MESH0925', `${inbound} inbound connections in plaintext`)]),
    ...(outbound === 0
      ? []
      : [
          finding(
            'info',
            'MESH0925',
            `${outbound} outbound connections in plaintext, to peers outside the mesh`,
          ),
        ]),
  ];
}

function waypointFindings(who: string, { namespace, name, isUsed, isReady, why }: WaypointUse): Finding[] {
  const waypoint = `waypoint ${namespace}/${name}`;
  if (!isUsed) return [finding('warning', 'MESH0929', `${who} names ${waypoint}: ${why}`)];
  if (isReady) return [];
  const calls = who === 'the pod' ? 'its address' : 'it';
  const refused = `${who} is bound to ${waypoint}, which is not ready (${why}): calls to ${calls} are refused`;
  return [finding('error', 'MESH0924', refused)];
}
