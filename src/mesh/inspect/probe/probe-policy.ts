import { compileL7Policy, policiesFor } from '../../policy/l7/compile.js';
import { authorize } from '../../policy/l7/authorize.js';
import { isConvertedPeerAuth } from '../../rules/peer-authentication.js';
import type { MeshObserver } from '../mesh-observer.js';
import type { AgentHttpAnswer } from './agent-probe.js';
import type { ProbePolicy } from './probe-evidence.js';
import type { ProbedTarget } from './probe-target.js';

/** The decision that a node proxy names when it refuses by policy; undefined for any other error. */
export function policyOfL4Reason(error: string | undefined, by: string): ProbePolicy | undefined {
  if (error === undefined) return undefined;
  const [, denied] = /explicitly denied by: (\S+)/.exec(error) ?? [];
  if (denied !== undefined) {
    const name = denied.slice(denied.indexOf('/') + 1);
    const reason = isConvertedPeerAuth(name)
      ? 'plaintext is refused: the mTLS mode is STRICT'
      : `denied by policy ${denied}`;
    return { isAllowed: false, policy: denied, by, reason };
  }
  return error.includes('allow policies exist, but none allowed')
    ? { isAllowed: false, by, reason: 'there are ALLOW policies and none allows it' }
    : undefined;
}

/** What a waypoint decided: by the status it answered, with the policy that decides so among those it has loaded. */
export async function waypointDecision(
  observer: MeshObserver,
  of: {
    readonly gateway: string | undefined;
    readonly target: ProbedTarget;
    readonly sourceIp: string;
    readonly peer: string | undefined;
    readonly http: AgentHttpAnswer | undefined;
    readonly path: string;
    /** What the waypoint wrote when it refused a connection. */
    readonly refusal: string | undefined;
  },
): Promise<ProbePolicy | undefined> {
  const { gateway, target, http, refusal } = of;
  if (gateway === undefined) return undefined;
  const by = `waypoint ${gateway}`;
  const [, namespace, name] = /policy\[ns\[([^\]]*)\]-policy\[([^\]]*)\]/.exec(refusal ?? '') ?? [];
  if (namespace !== undefined && name !== undefined)
    return {
      isAllowed: false,
      policy: `${namespace}/${name}`,
      by,
      reason: `denied by policy ${namespace}/${name}`,
    };
  if (refusal?.includes('rbac_access_denied') === true)
    return { isAllowed: false, by, reason: 'there are ALLOW policies and none allows it' };
  const isDenied = http?.status === 403 && isAnswerOfProxy(http);
  if (http?.status === undefined || (!isDenied && isAnswerOfProxy(http))) return undefined;
  const [at = '', waypoint = ''] = gateway.split('/');
  const loaded = await observer.waypointPolicies(at, waypoint);
  if (loaded.value === undefined || of.peer === undefined) {
    return isDenied ? { isAllowed: false, by, reason: 'denied by a policy of the waypoint' } : undefined;
  }
  const { mesh } = await observer.settings();
  const { service } = target;
  const compiled = loaded.value.map((policy) => compileL7Policy(policy, mesh));
  const hostname =
    service === undefined
      ? undefined
      : compiled
          .flatMap(({ targets }) => targets)
          .find((t) => t.namespace === service.namespace && t.hostname.startsWith(`${service.name}.`))
          ?.hostname;
  const decision = authorize(
    policiesFor(
      compiled,
      service === undefined ? undefined : { namespace: service.namespace, hostname: hostname ?? '' },
    ),
    {
      sourcePrincipal: of.peer.replace('spiffe://', ''),
      sourceIp: of.sourceIp,
      remoteIp: of.sourceIp,
      destinationIp: target.host,
      destinationPort: target.port,
      sni: undefined,
      http: {
        method: 'GET',
        path: of.path.split('?')[0] ?? '/',
        host: target.authority,
        header: () => undefined,
        auth: undefined,
      },
    },
  );
  const { match, reason } = decision;
  const policy = match === undefined ? undefined : `${match.namespace}/${match.name}`;
  // What was answered is what was decided; the policies it has loaded only say why, and only if they agree.
  if (isDenied === decision.allowed)
    return isDenied
      ? { isAllowed: false, by, reason: 'denied; the policies it has loaded now do not say why' }
      : undefined;
  if (isDenied)
    return {
      isAllowed: false,
      by,
      ...(policy === undefined ? {} : { policy }),
      reason:
        policy === undefined ? 'there are ALLOW policies and none allows it' : `denied by policy ${policy}`,
    };
  return {
    isAllowed: true,
    by,
    ...(policy === undefined ? {} : { policy }),
    reason: reason === 'no-allow-policies' ? 'no policy applies' : `allowed by policy ${policy}`,
  };
}

/** Whether a proxy made the answer up: a backend's passes with the time that it took (Envoy's header). */
export function isAnswerOfProxy({ headers = {} }: AgentHttpAnswer): boolean {
  return headers['server'] === 'istio-envoy' && headers['x-envoy-upstream-service-time'] === undefined;
}
