import { docsOfCode, type Finding } from '#mesh/inspect/findings/finding.js';

/** A finding in a JSON document: with the place where its code is explained. */
export interface FindingDocument extends Omit<Finding, 'consequences'> {
  /** Such as `docs/errors.md#mesh1101`. */
  readonly docs: string;
  readonly consequences?: readonly FindingDocument[];
}

/** Findings as they stand in JSON documents. */
export function findingDocuments(findings: readonly Finding[]): readonly FindingDocument[] {
  return findings.map(({ consequences, ...finding }) => ({
    ...finding,
    docs: docsOfCode(finding.code),
    ...(consequences === undefined ? {} : { consequences: findingDocuments(consequences) }),
  }));
}
