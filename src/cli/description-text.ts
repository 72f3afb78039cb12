import type { Finding } from '#mesh/inspect/findings/finding.js';
import type { PodDescription } from '#mesh/inspect/pod/pod-report.js';
import type { AppliedPolicy } from '#mesh/inspect/policies/applied-policy.js';
import type { TextView } from './command.js';

/** The first line of a description: what it is of, and the one thing to know. */
export function verdictLine(
  what: string,
  { summary, findings }: { readonly summary: string; readonly findings: readonly Finding[] },
  view: TextView,
): string {
  const [worst] = findings;
  const text = view.prose(`${what}: ${summary}`);
  if (worst?.severity === 'error') return view.style.bad(text);
  return worst?.severity === 'warning' ? view.style.warn(text) : view.style.good(text);
}

/** Pods, a line each. */
export function podRows(pods: readonly PodDescription[], view: TextView): string {
  return view.table({
    head: ['POD', 'NODE', 'READY', 'VERDICT', 'MODE', 'CONNECTIONS', 'OBSERVED'],
    rows: pods.map((p) => [
      p.pod.name,
      p.pod.node,
      p.pod.isReady ? 'yes' : 'NO',
      p.verdict,
      p.intent.isEnrolled ? p.mtls.mode : '',
      String(p.connections.length),
      p.observation,
    ]),
    optional: ['CONNECTIONS', 'MODE', 'NODE', 'READY'],
    indent: 2,
  });
}

/** Whether an enforcement point has a policy, and as it is written. */
export function loadedText({ isLoaded, difference, shortfall }: AppliedPolicy): string {
  if (isLoaded === undefined) return 'unknown';
  if (!isLoaded) return 'NO';
  if (difference !== undefined) return 'ANOTHER';
  return shortfall === undefined ? 'yes' : 'yes, not as written';
}
