import type { Finding } from '../findings/finding.js';
import type { MeshObserver } from '../mesh-observer.js';
import { gatherPodEvidence, type PodEvidence } from './pod-evidence.js';
import { podFindings } from './pod-findings.js';
import { judgePod, type PodVerdict } from './pod-verdict.js';

/** A pod: what is asked for, what is observed, and where the two differ. */
export interface PodDescription extends PodEvidence {
  readonly verdict: PodVerdict;
  readonly summary: string;
  readonly findings: readonly Finding[];
}

/** Everything known of one pod. Rejects with MESH0204 when there is no such pod. `now` in milliseconds. */
export async function describePod(
  observer: MeshObserver,
  at: { readonly namespace: string; readonly name: string; readonly now: number },
): Promise<PodDescription> {
  const evidence = await gatherPodEvidence(observer, at);
  return { ...evidence, ...judgePod(evidence), findings: podFindings(evidence) };
}
