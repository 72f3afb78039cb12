import type { Finding } from '#mesh/inspect/findings/finding.js';
import { docsOfCode, subjectText } from '#mesh/inspect/findings/finding.js';
import { flattenFindings } from '#mesh/inspect/findings/fold.js';
import { errorCatalog } from './error-catalog.js';
import { clientVersion } from './client-version.js';

const levels = { error: 'error', warning: 'warning', info: 'note' } as const;

/** A SARIF 2.1.0 log of findings, as code hosts read it (https://docs.oasis-open.org/sarif/sarif/v2.1.0/). */
export function sarifReport(findings: readonly Finding[]): string {
  const all = flattenFindings(findings);
  const codes = [...new Set(all.map(({ code }) => code))].sort();
  return JSON.stringify(
    {
      $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
      version: '2.1.0',
      runs: [
        {
          tool: {
            driver: {
              name: 'meshctl',
              version: clientVersion,
              rules: codes.map((id) => ({
                id,
                shortDescription: { text: errorCatalog[id]?.title ?? id },
                fullDescription: { text: errorCatalog[id]?.cause ?? id },
                // No helpUri: the pages are published nowhere yet.
                help: {
                  text: `${errorCatalog[id]?.fix ?? ''}\nmeshctl explain ${id}; ${docsOfCode(id)}`.trim(),
                },
              })),
            },
          },
          results: all.map((finding) => ({
            ruleId: finding.code,
            ruleIndex: codes.indexOf(finding.code),
            level: levels[finding.severity],
            message: { text: messageOf(finding) },
            locations: [locationOf(finding)],
          })),
        },
      ],
    },
    null,
    2,
  );
}

function messageOf({ message, fix }: Finding): string {
  return fix === undefined ? message : `${message}\nFix: ${fix}`;
}

/** What stands in no file is named by its object. */
function locationOf({ place, subject }: Finding): object {
  const logical =
    subject === undefined
      ? {}
      : { logicalLocations: [{ fullyQualifiedName: subjectText(subject), kind: 'resource' }] };
  if (place === undefined) return logical;
  const colon = place.lastIndexOf(':');
  return {
    physicalLocation: {
      artifactLocation: { uri: encodeURI(place.slice(0, colon)) },
      region: { startLine: Number(place.slice(colon + 1)) },
    },
    ...logical,
  };
}
