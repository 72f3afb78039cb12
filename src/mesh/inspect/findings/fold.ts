import { type Finding, type Severity, type FindingSubject, subjectText } from './finding.js';

const severities: readonly Severity[] = ['error', 'warning', 'info'];

/**
 * Findings as people should read them: one for each cause, the worst first, and under each what follows from it. One
 * that depends on an object about which there is an error of its own follows from that error. Alike ones (same code, subject and
 * message) become one.
 */
export function foldFindings(findings: readonly Finding[]): readonly Finding[] {
  const distinct = withoutRepeats(findings);
  const causes = new Map<string, Finding>();
  for (const finding of distinct) {
    if (finding.subject === undefined || finding.severity !== 'error') continue;
    const key = subjectText(finding.subject);
    if (!causes.has(key)) causes.set(key, finding);
  }
  const consequences = new Map<Finding, Finding[]>();
  const roots: Finding[] = [];
  for (const finding of distinct) {
    const root = rootOf(finding, causes);
    if (root === finding) roots.push(finding);
    else consequences.set(root, [...(consequences.get(root) ?? []), finding]);
  }
  return roots
    .map((root) => {
      const folded = consequences.get(root);
      if (folded === undefined) return root;
      return { ...root, consequences: withoutRepeats([...(root.consequences ?? []), ...folded]) };
    })
    .sort((a, b) => rankOf(a) - rankOf(b) || sizeOf(b) - sizeOf(a) || compareText(a, b));
}

/**
 * Findings that follow from a cause, as far as anybody can tell, and from whatever else they name: what lacks in an
 * installation that stopped half-way. Nodes are no matter of an installation.
 */
export function asConsequencesOf(
  cause: Finding | undefined,
  findings: readonly Finding[],
): readonly Finding[] {
  const subject = cause?.severity === 'error' ? cause.subject : undefined;
  if (subject === undefined) return findings;
  return findings.map((finding) =>
    finding.subject?.kind === 'Node'
      ? finding
      : { ...finding, dependsOn: [...(finding.dependsOn ?? []), subject] },
  );
}

/** The first cause of folded findings, if it is an error: what a description begins with. */
export function worstError([first]: readonly Finding[]): Finding | undefined {
  return first?.severity === 'error' ? first : undefined;
}

/** All findings, those that follow from others too. */
export function flattenFindings(findings: readonly Finding[]): readonly Finding[] {
  return findings.flatMap((finding) => [finding, ...flattenFindings(finding.consequences ?? [])]);
}

/** Those that an object feels: about it, concerning it, or concerning its whole namespace. */
export function findingsConcerning(
  findings: readonly Finding[],
  subject: FindingSubject,
): readonly Finding[] {
  const own = new Set([subjectText(subject)]);
  if (subject.namespace !== undefined) own.add(subjectText({ kind: 'Namespace', name: subject.namespace }));
  const isOwn = (other: FindingSubject): boolean => own.has(subjectText(other));
  return findings.filter(
    (finding) =>
      (finding.subject !== undefined && subjectText(finding.subject) === subjectText(subject)) ||
      finding.concerns?.some(isOwn) === true,
  );
}

/** Follows what a finding depends on to the first cause; a circle ends where it closes. */
function rootOf(finding: Finding, causes: ReadonlyMap<string, Finding>): Finding {
  const seen = new Set<Finding>();
  let current = finding;
  while (!seen.has(current)) {
    seen.add(current);
    const here = current;
    const cause = here.dependsOn
      ?.map((subject) => causes.get(subjectText(subject)))
      .find((found) => found !== undefined && found !== here);
    if (cause === undefined) return current;
    current = cause;
  }
  return finding;
}

function withoutRepeats(findings: readonly Finding[]): readonly Finding[] {
  const known = new Map<string, Finding>();
  for (const finding of findings) {
    const { code, subject, message, concerns = [] } = finding;
    const key = JSON.stringify([code, subject === undefined ? '' : subjectText(subject), message]);
    const before = known.get(key);
    if (before === undefined) {
      known.set(key, finding);
      continue;
    }
    const texts = new Set(before.concerns?.map(subjectText));
    const added = concerns.filter((other) => !texts.has(subjectText(other)));
    if (added.length > 0) known.set(key, { ...before, concerns: [...(before.concerns ?? []), ...added] });
  }
  return [...known.values()];
}

function rankOf({ severity }: Finding): number {
  return severities.indexOf(severity);
}

function sizeOf({ consequences = [] }: Finding): number {
  return consequences.length;
}

function compareText(a: Finding, b: Finding): number {
  return `${a.code} ${a.message}`.localeCompare(`${b.code} ${b.message}`);
}
