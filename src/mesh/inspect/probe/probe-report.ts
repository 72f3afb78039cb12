import { outboundPort } from '../../rules/capture-ports.js';
import type { Finding, FindingSubject } from '../findings/finding.js';
import type { PodCapture } from '../capture-report.js';
import type { DumpConnection } from '../ztunnel-dump.js';
import type { AskedProxy, ProbeEvidence, ProbePolicy } from './probe-evidence.js';
import { isAnswerOfProxy } from './probe-policy.js';

/** One stop of a connection, in its order. */
export interface ProbeHop {
  readonly part: 'source' | 'source-proxy' | 'waypoint' | 'destination-proxy' | 'destination';
  readonly name: string;
  readonly state: 'ok' | 'broken' | 'unknown';
  /** What was seen there. */
  readonly detail: string;
  /** How the connection arrived from the stop before, where a proxy shows it. */
  readonly protocol?: string;
  readonly tls?: { readonly version: string; readonly cipher: string };
  /** Who the other end proved to be, by a verified certificate. */
  readonly peer?: string;
  readonly latencyMs?: number;
}

/** One probe: what became of it, stop by stop. */
export interface ProbeReport {
  readonly from: {
    readonly namespace: string;
    readonly name: string;
    readonly node: string;
    readonly isEnrolled: boolean;
  };
  readonly to: {
    readonly text: string;
    readonly host: string;
    readonly port: number;
    readonly isEnrolled?: boolean;
  };
  /** The connection was made, and its request answered by the application if there was one. */
  readonly isConnected: boolean;
  /** Seen encrypted on every stretch between proxies; undefined where none was seen. */
  readonly isEncrypted: boolean;
  /** One line. */
  readonly summary: string;
  readonly waypoint?: string;
  readonly policy?: ProbePolicy;
  readonly http?: { readonly status: number; readonly requestId: string; readonly latencyMs?: number };
  readonly hops: readonly ProbeHop[];
  readonly findings: readonly Finding[];
}

/** Puts what was seen in order, and says where it broke and why. */
export function reportProbe(evidence: ProbeEvidence): ProbeReport {
  const { source, target, policy, http, waypoint } = evidence;
  const finding = causeOf(evidence);
  const stretches = [evidence.outbound, ...(waypoint === undefined ? [] : [evidence.inbound])].filter(
    (stretch) => stretch !== undefined,
  );
  const isEncrypted = stretches.length > 0 && stretches.every(isHbone);
  const isConnected = finding === undefined || finding.code === 'MESH0996';
  return {
    from: {
      namespace: source.namespace,
      name: source.name,
      node: source.node,
      isEnrolled: evidence.isSourceEnrolled,
    },
    to: {
      text: target.text,
      host: target.host,
      port: target.port,
      ...(evidence.isTargetEnrolled === undefined ? {} : { isEnrolled: evidence.isTargetEnrolled }),
    },
    isConnected,
    isEncrypted,
    summary: finding?.message ?? summaryOf(evidence, isEncrypted),
    ...(waypoint === undefined ? {} : { waypoint: waypoint.gateway }),
    ...(policy === undefined ? {} : { policy }),
    ...(http?.status === undefined
      ? {}
      : {
          http: {
            status: http.status,
            requestId: http.requestId,
            ...(http.ms === undefined ? {} : { latencyMs: http.ms }),
          },
        }),
    hops: hopsOf(evidence),
    findings: finding === undefined ? [] : [finding],
  };
}

function summaryOf(evidence: ProbeEvidence, isEncrypted: boolean): string {
  const { source, target, waypoint, http, outbound, inbound } = evidence;
  const pair = `Pod ${source.namespace}/${source.name} reaches ${target.text}`;
  const how = isEncrypted
    ? `encrypted (${tlsText(outbound ?? inbound) ?? 'HBONE'})`
    : `in plaintext${plaintextWhy(evidence)}`;
  const via = waypoint === undefined ? '' : ` through waypoint ${waypoint.gateway}`;
  const answer = http?.status === undefined ? '' : `, HTTP ${http.status}`;
  return `${pair} ${how}${via}${answer}`;
}

function plaintextWhy({ isSourceEnrolled, isTargetEnrolled, target }: ProbeEvidence): string {
  if (!isSourceEnrolled) return ': the source is not in the mesh';
  if (target.pods.length === 0 && target.service === undefined) return ': the target is not in the mesh';
  return isTargetEnrolled === false ? ': the target is not in the mesh' : '';
}

function isHbone({ protocol, tls }: DumpConnection): boolean {
  return tls !== undefined || protocol.includes('HBONE');
}

function tlsText(connection: DumpConnection | undefined): string | undefined {
  const tls = connection?.tls;
  return tls === undefined ? undefined : `${tls.version} ${tls.cipher}`;
}

/** The one thing that is wrong; undefined when the connection is as it should be. */
function causeOf(evidence: ProbeEvidence): Finding | undefined {
  const { source, target, opening, policy, waypoint, outbound, http, end } = evidence;
  const subject = { kind: 'Pod', namespace: source.namespace, name: source.name };
  const calls = `Pod ${source.namespace}/${source.name} does not reach ${target.text}`;
  const words = [evidence.sourceError, evidence.targetError, waypoint?.error].filter(
    (line) => line !== undefined,
  );
  const evidenceLines = words.length === 0 ? {} : { evidence: words };
  if (policy?.isAllowed === false) {
    const [namespace = '', name = ''] = policy.policy?.split('/') ?? [];
    const isStrict = policy.reason.includes('STRICT');
    return {
      code: 'MESH0994',
      severity: 'error',
      message: `${calls}: ${policy.by} refuses it, ${policy.reason}`,
      subject:
        policy.policy === undefined || isStrict
          ? (targetSubject(evidence) ?? subject)
          : { kind: 'AuthorizationPolicy', namespace, name },
      ...evidenceLines,
      fix: isStrict
        ? `meshctl enroll ${source.namespace}`
        : policy.policy === undefined
          ? 'add an ALLOW rule for the caller, if it is to be let in'
          : `kubectl -n ${namespace} get authorizationpolicy ${name} -o yaml`,
    };
  }
  const gaveUp = evidence.sourceError;
  if (gaveUp?.includes('NetworkPolicy') === true || /timed out.*15008/.test(gaveUp ?? '')) {
    return {
      code: 'MESH0995',
      severity: 'error',
      message: `${calls}: nothing answers on the HBONE port 15008 of the other side, as if a NetworkPolicy blocked it`,
      subject: targetSubject(evidence) ?? subject,
      ...evidenceLines,
      fix: 'admit TCP port 15008 in the NetworkPolicies of both namespaces (meshctl analyze names them)',
    };
  }
  const broken = brokenText(evidence);
  if (broken !== undefined) {
    return {
      code: waypoint === undefined && !/waypoint/.test(gaveUp ?? '') ? 'MESH0993' : 'MESH0997',
      severity: 'error',
      message: `${calls}: ${broken}`,
      subject: targetSubject(evidence) ?? subject,
      ...evidenceLines,
      ...(target.service === undefined
        ? {}
        : { fix: `meshctl describe service ${target.service.name}.${target.service.namespace}` }),
    };
  }
  const shouldBeEncrypted = evidence.isSourceEnrolled && evidence.isTargetEnrolled === true;
  const isPlain = outbound === undefined || !isHbone(outbound);
  if (
    shouldBeEncrypted &&
    isPlain &&
    opening.id !== undefined &&
    end !== undefined &&
    http?.error === undefined
  ) {
    return {
      code: 'MESH0996',
      severity: 'error',
      message: `Pod ${source.namespace}/${source.name} reaches ${target.text} in plaintext, though both are in the mesh`,
      subject,
      evidence: [
        isCaptured(evidence)
          ? `${evidence.sourceProxy.name} shows the connection without TLS`
          : `the connection was not redirected to the node proxy`,
      ],
      fix: `meshctl describe pod ${source.name}.${source.namespace}`,
    };
  }
  return undefined;
}

function targetSubject({ target }: ProbeEvidence): FindingSubject | undefined {
  if (target.service !== undefined) return { kind: 'Service', ...target.service };
  const [pod] = target.pods;
  return pod === undefined
    ? undefined
    : { kind: 'Pod', namespace: pod.metadata.namespace ?? '', name: pod.metadata.name };
}

/** Where the connection broke, in words; undefined when it did not. */
function brokenText(evidence: ProbeEvidence): string | undefined {
  const { opening, end, outbound, http, target, waypoint, sourceError, targetError } = evidence;
  if (target.service !== undefined && target.pods.length === 0 && outbound === undefined)
    return 'no pod is behind the Service';
  if (opening.id === undefined) return unopenedText(evidence);
  if (outbound === undefined && isCaptured(evidence)) {
    const words = targetError ?? sourceError;
    if (words !== undefined) return plainWords(words);
    return end?.state === 'closed'
      ? `${evidence.sourceProxy.name} gave the connection up`
      : `${evidence.sourceProxy.name} has not connected in time`;
  }
  if (http?.error !== undefined) return `no answer to the request: ${http.error}`;
  if (http?.status !== undefined && waypoint !== undefined && http.status >= 500 && isAnswerOfProxy(http))
    return `waypoint ${waypoint.gateway} answers ${http.status}: ${targetError ?? (http.body?.trim() || 'it reaches no backend')}`;
  const isEnded =
    end?.state === 'closed' && (end.closedAfterMs ?? 0) < endedSoonMs && http?.status === undefined;
  if (isEnded && (end.error !== undefined || outbound === undefined))
    return targetError === undefined
      ? `the connection is ended at once${end.error === undefined ? '' : ` (${end.error})`}`
      : plainWords(targetError);
  return undefined;
}

/** What proxies write, for people. */
function plainWords(error: string): string {
  const [, code, address] = /connect (E[A-Z]+) (\S+)/.exec(error) ?? [];
  switch (code) {
    case 'ECONNREFUSED':
      return `nothing listens on ${address} (connection refused)`;
    case 'ETIMEDOUT':
      return `${address} does not answer (timed out)`;
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return `there is no way to ${address}`;
    default:
      return error;
  }
}

/** A peer that ends a connection this soon did not take it. */
const endedSoonMs = 1_000;

/** Why there is no connection at all. Of a captured pod it is the node proxy that did not take it. */
function unopenedText({ opening, capture, source }: ProbeEvidence): string {
  if (opening.error === 'ECONNREFUSED' && capture?.rules.ok === true && !isTaken(capture))
    return `the pod is captured, and the node proxy of ${source.node} does not take its connections: nothing listens on port ${outboundPort} in the pod (connection refused)`;
  return connectText(opening.error);
}

/** The node proxy listens in the pod for what it sends. */
function isTaken({ listeners }: PodCapture): boolean {
  return listeners[outboundPort] === true;
}

function connectText(code: string | undefined): string {
  switch (code) {
    case 'ECONNREFUSED':
      return 'nothing listens there (connection refused)';
    case 'ETIMEDOUT':
      return 'no answer to the connection (timed out)';
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return 'there is no way to the address';
    default:
      return code ?? 'the connection failed';
  }
}

function hopsOf(evidence: ProbeEvidence): readonly ProbeHop[] {
  const { source, opening, isSourceEnrolled } = evidence;
  const { isRedirected } = opening;
  const hops: ProbeHop[] = [
    {
      part: 'source',
      name: `Pod ${source.namespace}/${source.name} on ${source.node}`,
      state: opening.id === undefined ? 'broken' : 'ok',
      detail:
        opening.id === undefined
          ? unopenedText(evidence)
          : isCaptured(evidence)
            ? `captured${isRedirected === true ? ', redirected to port 15001' : ''}, from ${opening.local}`
            : isRedirected === undefined
              ? `ended before it could be seen whether it is captured, from ${opening.local}`
              : `not captured, from ${opening.local}${isSourceEnrolled ? ', though the node proxy serves the pod' : ''}`,
      latencyMs: opening.connectMs,
    },
  ];
  if (opening.id === undefined) return hops;
  if (isCaptured(evidence)) hops.push(sourceProxyHop(evidence));
  if (evidence.waypoint !== undefined) hops.push(waypointHop(evidence));
  if (
    evidence.inbound !== undefined ||
    evidence.targetError !== undefined ||
    evidence.targetProxy?.why !== undefined
  )
    hops.push(targetProxyHop(evidence));
  if (evidence.sourceError === undefined || evidence.inbound !== undefined)
    hops.push(destinationHop(evidence));
  return hops;
}

/**
 * The source's proxy had it: the kernel led it there, or the proxy shows it or wrote of it. Of one that was over too soon
 * for that, redirection and listener in the pod tell.
 */
function isCaptured({ opening, outbound, sourceError, capture }: ProbeEvidence): boolean {
  if (opening.isRedirected === true || outbound !== undefined || sourceError !== undefined) return true;
  return (
    opening.id !== undefined &&
    opening.isRedirected === undefined &&
    capture?.rules.ok === true &&
    isTaken(capture)
  );
}

function connectionFacts(c: DumpConnection | undefined): Partial<ProbeHop> {
  if (c === undefined) return {};
  const { tls } = c;
  return {
    protocol: c.protocol,
    ...(tls === undefined ? {} : { tls: { version: tls.version, cipher: tls.cipher } }),
    ...(tls?.peer === undefined ? {} : { peer: tls.peer }),
    ...(c.setupMs === undefined ? {} : { latencyMs: c.setupMs }),
  };
}

function sourceProxyHop({ sourceProxy, outbound, sourceError }: ProbeEvidence): ProbeHop {
  return {
    part: 'source-proxy',
    name: proxyName(sourceProxy),
    state: outbound !== undefined ? 'ok' : sourceProxy.why === undefined ? 'broken' : 'unknown',
    detail:
      outbound === undefined
        ? (sourceError ?? sourceProxy.why ?? 'does not show the connection')
        : `${isHbone(outbound) ? 'HBONE' : 'plain TCP'} to ${outbound.actualDst}`,
    ...connectionFacts(outbound),
  };
}

function waypointHop({ waypoint, http, policy }: ProbeEvidence): ProbeHop {
  const tunnel = waypoint?.tunnel;
  const isRefused = policy?.isAllowed === false && policy.by.startsWith('waypoint');
  const isFailing = http?.status !== undefined && http.status >= 500 && isAnswerOfProxy(http);
  const isHere = tunnel !== undefined || (http?.status !== undefined && waypoint?.error === undefined);
  const decision = policy === undefined || !policy.by.startsWith('waypoint') ? '' : `; ${policy.reason}`;
  return {
    part: 'waypoint',
    name: `waypoint ${waypoint?.gateway}, Pod ${waypoint?.name} on ${waypoint?.node}`,
    state: isRefused || isFailing ? 'broken' : isHere ? 'ok' : 'unknown',
    detail: `${tunnel === undefined ? (waypoint?.error ?? 'does not show the tunnel') : `${tunnel.protocol === 'DETECTING' ? 'waits for the first bytes' : tunnel.protocol} for ${tunnel.originalDst}`}${decision}`,
    protocol: 'HBONE',
    ...(tunnel?.tls === undefined ? {} : { tls: { version: tunnel.tls.version, cipher: tunnel.tls.cipher } }),
    ...(tunnel?.tls?.peer === undefined ? {} : { peer: tunnel.tls.peer }),
    ...(http?.ms === undefined ? {} : { latencyMs: http.ms }),
  };
}

function targetProxyHop({ targetProxy, inbound, targetError, waypoint }: ProbeEvidence): ProbeHop {
  const shared = waypoint !== undefined && inbound !== undefined && inbound.client === undefined;
  return {
    part: 'destination-proxy',
    name: targetProxy === undefined ? 'node proxy of the target' : proxyName(targetProxy),
    state: inbound !== undefined ? 'ok' : targetError === undefined ? 'unknown' : 'broken',
    detail:
      inbound === undefined
        ? (targetError ?? targetProxy?.why ?? '')
        : `${isHbone(inbound) ? 'HBONE' : 'plaintext'} from ${inbound.src}${shared ? ', which the waypoint keeps for many requests' : ''}`,
    ...connectionFacts(inbound),
  };
}

function destinationHop({
  target,
  reached,
  inbound,
  http,
  end,
  outbound,
  waypoint,
  policy,
}: ProbeEvidence): ProbeHop {
  const name = reached === undefined ? target.text : `Pod ${reached.namespace}/${reached.name}`;
  const isAnswered = http?.status !== undefined && !isAnswerOfProxy(http);
  const isThere = inbound !== undefined || isAnswered;
  // Through a waypoint only the proxy of the target tells whether a backend was reached.
  const isOpen =
    end?.state === 'open' && waypoint === undefined && (outbound === undefined || !isHbone(outbound));
  const isRefused = policy?.isAllowed === false || http?.error !== undefined || end?.error !== undefined;
  const answer =
    http?.status !== undefined
      ? isAnswered
        ? `HTTP ${http.status}`
        : 'no request reached it'
      : (http?.error ??
        (isThere || isOpen ? `connected at ${inbound?.actualDst ?? `${target.host}:${target.port}`}` : ''));
  return {
    part: 'destination',
    name,
    state: isThere || isOpen ? 'ok' : isRefused ? 'broken' : 'unknown',
    detail: answer === '' ? (isRefused ? 'not reached' : 'no proxy shows whether it was reached') : answer,
    ...(isAnswered && http?.ms !== undefined ? { latencyMs: http.ms } : {}),
  };
}

function proxyName({ name, why }: AskedProxy): string {
  return why === undefined || !name.startsWith('node ') ? name : `node proxy of ${name}`;
}
