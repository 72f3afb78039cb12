import { counted } from '#base/collections/counted.js';
import { capturePorts } from '../../rules/capture-ports.js';
import { isCaptured, type PodCapture } from '../capture-report.js';
import { selfSignedSecret } from '../../identity/ca/material-secret.js';
import type { Finding, FindingSubject, Severity } from '../findings/finding.js';
import { unreadyGatewayFinding } from '../gateway-findings.js';
import { mtlsDifference } from '../mtls-report.js';
import type { AppliedPolicy } from '../policies/applied-policy.js';
import { noSuchGateway, type WaypointUse } from '../waypoint-bindings.js';
import { distrustText } from '../trust.js';
import type { PodEvidence } from './pod-evidence.js';

/** Where a pod's intent and observation differ, and what a reader should know besides. */
export function podFindings(evidence: PodEvidence): readonly Finding[] {
  const { intent, pod, mtls, notStarted } = evidence;
  const isEnrolled = intent.isEnrolled;
  const subject = { kind: 'Pod', namespace: pod.namespace, name: pod.name };
  // A pod that has not started has no network to look at: why it has not is all there is to say of it.
  if (notStarted !== undefined) {
    const { why, isHeldUp, events } = notStarted;
    return [
      finding(
        isHeldUp ? 'error' : 'warning',
        'MESH0937',
        `Pod ${pod.namespace}/${pod.name} has not started: ${why}`,
        {
          subject,
          evidence: events,
          fix: `kubectl describe pod ${pod.name} -n ${pod.namespace}`,
        },
      ),
    ];
  }
  const found = [
    ...captureFindings(evidence),
    ...(isEnrolled ? proxyFindings(evidence) : []),
    ...evidence.policies.flatMap((policy) =>
      policyFindings(policy, isEnrolled).map((one) => {
        // What is wrong with a policy is so for every pod it is for: of many pods it is said once.
        const about = { kind: 'AuthorizationPolicy', namespace: policy.namespace, name: policy.name };
        return { ...one, subject: about, concerns: [subject], dependsOn: [about] };
      }),
    ),
    ...evidence.distrust.map((d) =>
      finding('error', 'MESH0935', distrustText(d), {
        dependsOn: [{ kind: 'Secret', namespace: evidence.meshNamespace, name: selfSignedSecret }],
      }),
    ),
    ...(isEnrolled ? connectionFindings(evidence) : []),
    ...evidence.silentWaypoints,
    ...(evidence.waypoint === undefined ? [] : waypointFindings(evidence, evidence.waypoint, subject)),
    ...evidence.services.flatMap(({ name, waypoint }) =>
      waypoint === undefined
        ? []
        : waypointFindings(evidence, waypoint, { kind: 'Service', namespace: pod.namespace, name }),
    ),
    ...mtls.ignoredDisable.map((source) => finding('warning', 'MESH0927', `${source} asks for DISABLE`)),
    ...(pod.isReady ? [] : [finding('warning', 'MESH0928', `the pod is ${pod.phase} and not ready`)]),
    ...hiddenFindings(evidence),
    ...assumptionFindings(evidence),
  ];
  return found.map((one) => ({ ...one, subject: one.subject ?? subject }));
}

function finding(severity: Severity, code: string, message: string, more: Partial<Finding> = {}): Finding {
  return { code, severity, message, ...more };
}

/** What on the pod's node, if it is broken, explains that something of the pod is. */
function nodeParts({ pod, observed, meshNamespace }: PodEvidence): readonly FindingSubject[] {
  const proxy = observed.ztunnel;
  return [
    { kind: 'Namespace', name: meshNamespace },
    { kind: 'Node', name: pod.node },
    { kind: 'DaemonSet', namespace: meshNamespace, name: 'istio-cni-node' },
    { kind: 'DaemonSet', namespace: meshNamespace, name: 'ztunnel' },
    ...observed.components.map((name) => ({ kind: 'Pod', namespace: meshNamespace, name })),
    ...(proxy === undefined ? [] : [{ kind: 'Pod', namespace: meshNamespace, name: proxy }]),
  ];
}

/** Said once for all pods, however much it is: where something could not be read, defaults or absence stand in. */
function assumptionFindings({ assumptions, meshNamespace }: PodEvidence): Finding[] {
  if (assumptions.length === 0) return [];
  return [
    finding(
      'warning',
      'MESH0926',
      `not seen: ${assumptions.length === 1 ? assumptions[0] : 'all that may concern it; defaults or absence stand in'}`,
      {
        subject: { kind: 'Namespace', name: meshNamespace },
        evidence: assumptions.length === 1 ? [] : [...assumptions],
      },
    ),
  ];
}

/** What agents and proxies would tell, and may not be asked: said once for all pods. */
function hiddenFindings({ observed, meshNamespace }: PodEvidence): Finding[] {
  if (observed.isHidden !== true) return [];
  return [
    finding(
      'warning',
      'MESH0926',
      `not seen: capture, certificates and connections, as this user may not ask the agents and proxies in ${meshNamespace}`,
      {
        subject: { kind: 'Namespace', name: meshNamespace },
        evidence: observed.captureUnknown === undefined ? [] : [observed.captureUnknown],
        fix: `Ask for Role meshctl-observer in namespace ${meshNamespace}.`,
      },
    ),
  ];
}

function captureFindings(evidence: PodEvidence): Finding[] {
  const { intent, observed } = evidence;
  const { capture, captureUnknown } = observed;
  if (capture === undefined) {
    return intent.isEnrolled && captureUnknown !== undefined && observed.isHidden !== true
      ? [
          finding('error', 'MESH0926', `capture not observed: ${captureUnknown}`, {
            dependsOn: nodeParts(evidence),
          }),
        ]
      : [];
  }
  const findings: Finding[] = [];
  const missing = missingCapture(capture).join('; ');
  const [override, ...more] = capture.rules.overriding ?? [];
  if (intent.isEnrolled && override !== undefined) {
    findings.push(
      finding('error', 'MESH0938', `a rule in the pod overrides its redirection: ${ruleText(override)}`, {
        evidence: more.map(ruleText),
        fix: `remove it in the pod's network namespace: ${ruleText(override).replace(' -A ', ' -D ')}`,
      }),
    );
  }
  if (intent.isEnrolled && !isCaptured(capture) && missing !== '') {
    findings.push(
      finding('error', 'MESH0920', `enrolled by ${intent.reason}, but not captured (${missing})`, {
        dependsOn: nodeParts(evidence),
        fix: `kubectl logs -n ${evidence.meshNamespace} -l k8s-app=istio-cni-node --field-selector spec.nodeName=${evidence.pod.node}`,
      }),
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

/** `v6: -t nat -A OUTPUT -j ACCEPT` as a command. */
function ruleText(rule: string): string {
  return rule.replace(/^v4: /, 'iptables ').replace(/^v6: /, 'ip6tables ');
}

function missingCapture(capture: PodCapture): string[] {
  const { ok, missing, overriding = [] } = capture.rules;
  const rulesMissing = ok || missing.length > 0 || overriding.length > 0 ? missing : ['all'];
  const dead = capturePorts.filter((port) => capture.listeners[port] !== true);
  return [
    ...(capture.error === undefined ? [] : [capture.error]),
    ...(rulesMissing.length === 0 ? [] : [`rules missing: ${rulesMissing.slice(0, 3).join('; ')}`]),
    ...(dead.length === 0 ? [] : [`nothing listens on ${dead.join(', ')}`]),
  ];
}

function proxyFindings(evidence: PodEvidence): Finding[] {
  const { observed, certificate, identity, mtls } = evidence;
  const dependsOn = [
    ...nodeParts(evidence),
    { kind: 'Deployment', namespace: evidence.meshNamespace, name: 'istiod' },
  ];
  const difference = observed.mtls === undefined ? undefined : mtlsDifference(mtls, observed.mtls);
  return [
    ...(observed.ztunnelUnknown === undefined || observed.isHidden === true
      ? []
      : [finding('error', 'MESH0926', `node proxy not observed: ${observed.ztunnelUnknown}`, { dependsOn })]),
    ...(certificate === undefined || certificate.isValid
      ? []
      : [
          finding('error', 'MESH0922', `no valid certificate for ${identity} (${certificate.state})`, {
            dependsOn,
          }),
        ]),
    ...(difference === undefined
      ? []
      : [finding('error', 'MESH0933', `mTLS mode: ${difference}`, { dependsOn })]),
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
    ...(inbound === 0
      ? []
      : [finding('warning', 'MESH0925', `${counted(inbound, 'inbound connection')} in plaintext`)]),
    ...(outbound === 0
      ? []
      : [
          finding(
            'info',
            'MESH0925',
            `${counted(outbound, 'outbound connection')} in plaintext, to peers outside the mesh`,
          ),
        ]),
  ];
}

/** What is wrong with the waypoint of a pod or of one of its Services. */
function waypointFindings(
  { meshNamespace, pod }: PodEvidence,
  { namespace, name, isUsed, isReady, why }: WaypointUse,
  user: FindingSubject,
): Finding[] {
  // Where it leads nowhere, what is wrong is the label: the user's own, or its Namespace's.
  const labeled = [user, { kind: 'Namespace', name: pod.namespace }];
  if (!isUsed) {
    const who = user.kind === 'Pod' ? 'the pod' : `Service ${user.name}`;
    return [
      finding('warning', 'MESH0929', `${who} names waypoint ${namespace}/${name}: ${why}`, {
        dependsOn: [{ kind: 'Gateway', namespace, name }, ...labeled],
      }),
    ];
  }
  if (isReady) return [];
  const dependsOn = why === noSuchGateway ? labeled : [];
  return [unreadyGatewayFinding({ namespace, name, why, meshNamespace, concerns: [user], dependsOn })];
}
