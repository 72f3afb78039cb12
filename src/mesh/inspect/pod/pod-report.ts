import type { Finding } from '../findings/finding.js';
import type { MeshObserver } from '../mesh-observer.js';
import { findingsConcerning, foldFindings, worstError } from '../findings/fold.js';
import { relevantTo, surroundings } from '../surroundings.js';
import { gatherPodEvidence, type PodEvidence } from './pod-evidence.js';
import { podFindings } from './pod-findings.js';
import { judgePod, type PodVerdict } from './pod-verdict.js';

/** A pod: what is asked for, what is observed, and where the two differ. */
export interface PodDescription extends PodEvidence {
  readonly verdict: PodVerdict;
  readonly summary: string;
  /** What was observed of the pod itself, whatever follows from the rest. */
  readonly observation: string;
  readonly findings: readonly Finding[];
}

/** Everything known of one pod, and what is wrong, by cause. Rejects with MESH0204 when there is no such pod. `now` in milliseconds. */
export async function describePod(
  observer: MeshObserver,
  at: { readonly namespace: string; readonly name: string; readonly now: number },
): Promise<PodDescription> {
  const evidence = await gatherPodEvidence(observer, at);
  const subject = { kind: 'Pod', namespace: at.namespace, name: at.name };
  const around = await surroundings(observer, {
    namespace: at.namespace,
    nodes: [evidence.pod.node],
    now: at.now,
  });
  const behind = evidence.services.map(({ name }) => ({ kind: 'Service', namespace: at.namespace, name }));
  const findings = foldFindings([
    ...around.runtime,
    // What was observed comes before what is only configured: it tells why.
    ...podFindings(evidence),
    ...[subject, ...behind].flatMap((concerned) => findingsConcerning(around.configuration, concerned)),
  ]);
  const relevant = relevantTo(findings, around.runtime);
  const seen = judgePod(evidence);
  return {
    ...evidence,
    ...seen,
    ...concluded(seen, relevant),
    observation: seen.summary,
    findings: relevant,
  };
}

/** A pod whose own capture is sound is broken all the same when calls to it or from it fail: the cause is the verdict. */
function concluded(
  { verdict }: { readonly verdict: PodVerdict },
  findings: readonly Finding[],
): { readonly verdict?: PodVerdict; readonly summary?: string } {
  const worst = worstError(findings);
  if (worst === undefined || verdict === 'pending' || verdict === 'not-in-mesh') return {};
  return { verdict: 'broken', summary: worst.message };
}
