import { baseCodes } from '../src/base/errors/codes.js';
import type { ErrorCode } from '../src/base/errors/mesh-error.js';
import { ociCodes } from '../src/base/oci/error-codes.js';
import { errorCatalog } from '../src/cli/error-catalog.js';
import { cliCodes } from '../src/cli/error-codes.js';
import { exitCodeOf } from '../src/cli/exit-code.js';
import { cniCodes } from '../src/mesh/cni/error-codes.js';
import { controllerCodes } from '../src/mesh/controller/error-codes.js';
import { gatewayCodes } from '../src/mesh/gateway/error-codes.js';
import { hboneCodes } from '../src/mesh/hbone/error-codes.js';
import { identityCodes } from '../src/mesh/identity/error-codes.js';
import { checkCodes } from '../src/mesh/inspect/checks/error-codes.js';
import { inspectCodes } from '../src/mesh/inspect/error-codes.js';
import { installCodes } from '../src/mesh/install/error-codes.js';
import { imageCodes } from '../src/mesh/install/images/error-codes.js';
import { rulesCodes } from '../src/mesh/rules/error-codes.js';
import { ztunnelCodes } from '../src/mesh/ztunnel/error-codes.js';
import { sandboxCodes } from '../src/sandbox/error-codes.js';

/** Parts in the order of the page; a code stands with the first part that has it. */
const parts: readonly (readonly [title: string, codes: Readonly<Record<string, ErrorCode>>])[] = [
  ['Configuration', checkCodes],
  ['Inspection', inspectCodes],
  ['Command line', { ...cliCodes, ...baseCodes }],
  ['Installation', installCodes],
  ['Controller', { ...controllerCodes, ...rulesCodes }],
  ['Identity and certificates', identityCodes],
  ['Node proxy', { ...ztunnelCodes, ...hboneCodes }],
  ['Waypoint', gatewayCodes],
  ['CNI agent', cniCodes],
  ['Images', { ...imageCodes, ...ociCodes }],
  ['Sandbox', sandboxCodes],
];

/** docs/errors.md, from the catalog that `meshctl explain` shows. */
export function errorCodesDocument(): string {
  const written = new Set<string>();
  const sections = parts.map(([title, codes]) => {
    const own = Object.keys(codes)
      .filter((code) => code in errorCatalog && !written.has(code))
      .toSorted();
    for (const code of own) written.add(code);
    return own.length === 0 ? '' : `## ${title}\n\n${own.map(entryText).join('\n')}`;
  });
  return `# Error codes

Every error and every finding has a code that keeps its meaning. \`meshctl explain CODE\` shows the same on the command
line; a code's place here is \`#\` and the code in lower case, such as \`#mesh1101\`. This page is written from the
catalog: \`npm run docs\`.

Findings have a severity of their own (error, warning, info), and \`--fail-on\` says from which on the exit code is 1; the
exit codes below are those of errors.

${sections.filter((text) => text !== '').join('\n')}`;
}

function entryText(code: string): string {
  const entry = errorCatalog[code];
  if (entry === undefined) throw new Error(`no code ${code}`);
  const { title, cause, fix, kind } = entry;
  return `### ${code}

**${escaped(title)}**

- Cause: ${escaped(cause)}
- Fix: ${escaped(fix)}
- Exit code: ${exitCodeOf(kind)}
`;
}

/** What Markdown would take for markup, as it stands. */
function escaped(text: string): string {
  return text.replace(/[\\*_<>|]/g, '\\$&').replaceAll('\n', ' ');
}
