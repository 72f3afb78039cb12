import type { Finding } from '#mesh/inspect/findings/finding.js';
import type { TextView } from './command.js';

const paints = { error: 'bad', warning: 'warn', info: 'dim' } as const;

/** Consequences named below a cause before the rest is counted. */
const consequencesMax = 5;
/** Columns by which evidence, fix and consequences stand in. */
const indent = 2;

/** Findings for people, as they come: what is wrong, where, what shows it, what to do, what follows from it. */
export function findingsText(findings: readonly Finding[], view: TextView): string {
  return findings.map((finding) => findingText(finding, view)).join('\n');
}

function findingText(finding: Finding, view: TextView): string {
  const { style } = view;
  const { severity, code, message, place, evidence = [], fix, consequences = [] } = finding;
  const at = place === undefined || message.includes(place) ? '' : ` (${place})`;
  const head = view.prose(`${severity} ${code} ${message}${at}`, { hanging: indent });
  const inner = (text: string): string => view.prose(text, { indent, hanging: 2 * indent });
  const more = consequences.length - consequencesMax;
  return [
    head.replace(severity, style[paints[severity]](severity)),
    ...evidence.map((line) => style.dim(inner(line))),
    ...(fix === undefined ? [] : [inner(`fix: ${fix}`).replace('fix:', style.bold('fix:'))]),
    ...consequences
      .slice(0, consequencesMax)
      .map((follows) => style.dim(inner(`follows: ${follows.code} ${follows.message}`))),
    ...(more > 0
      ? [style.dim(inner(`and ${more} more that ${more === 1 ? 'follows' : 'follow'} from it`))]
      : []),
  ].join('\n');
}
