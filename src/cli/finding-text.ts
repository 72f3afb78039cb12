import type { Finding } from '#mesh/inspect/findings/finding.js';
import type { TextView } from './command.js';

const paints = { error: 'bad', warning: 'warn', info: 'dim' } as const;

/** Consequences named below a cause before the rest is counted. */
const consequencesMax = 5;

/** Findings for people, as they come: what is wrong, where, what shows it, what to do, what follows from it. */
export function findingsText(findings: readonly Finding[], view: TextView): string {
  return findings.map((finding) => findingText(finding, view)).join('\n');
}

function findingText(finding: Finding, { style }: TextView): string {
  const { severity, code, message, place, evidence = [], fix, consequences = [] } = finding;
  const at = place === undefined ? '' : ` (${place})`;
  const more = consequences.length - consequencesMax;
  return [
    `${style[paints[severity]](severity)} ${code} ${message}${at}`,
    ...evidence.map((line) => `  ${style.dim(line)}`),
    ...(fix === undefined ? [] : [`  ${style.bold('fix:')} ${fix}`]),
    ...consequences
      .slice(0, consequencesMax)
      .map((follows) => `  ${style.dim(`follows: ${follows.code} ${follows.message}`)}`),
    ...(more > 0 ? [`  ${style.dim(`and ${more} more that follow from it`)}`] : []),
  ].join('\n');
}
