// Everything that must hold before a change lands: lint, types, layering, unit,
// integration, conformance and end-to-end tests. Ends with the line `N passed, N failed`.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';

const bin = (name) => join('node_modules', '.bin', name);

const staticChecks = [
  ['format', bin('biome'), ['format', '.']],
  ['lint', bin('oxlint'), ['--type-aware', '--deny-warnings']],
  ['types', bin('tsc'), ['--noEmit']],
  ['layering', process.execPath, ['scripts/layers.mjs']],
];
/** Root runs the end-to-end tests twice: every sandbox as root, then every sandbox as a user without any rights. */
const suites = [
  { project: 'unit' },
  { project: 'integration' },
  { project: 'conformance' },
  { project: 'interop' },
  { project: 'e2e' },
  ...(process.getuid?.() === 0 ? [{ project: 'e2e', user: 'ordinary' }] : []),
];

/** Lines of a failure that are repeated at the end. */
const messageLinesMax = 12;

/** What test/interop needs besides Node.js and kubectl, and how to see that it is there. */
const interopPrograms = [
  { program: 'helm', args: ['version'], what: 'helm charts' },
  { program: 'go', args: ['version'], what: 'a controller made with controller-runtime' },
  { program: 'python3', args: ['-c', 'import venv, ensurepip'], what: 'the Python client' },
];

/** Runs every check, also after one has failed; resolves to the exit code. */
export async function main() {
  const total = { passed: 0, failed: 0, skipped: 0 };
  const notable = [];
  for (const [name, program, args] of staticChecks) {
    const result = spawnSync(program, args, { encoding: 'utf8' });
    const isFine = result.status === 0;
    total[isFine ? 'passed' : 'failed'] += 1;
    console.log(`${isFine ? 'ok    ' : 'FAILED'} ${name}`);
    if (!isFine) notable.push(`FAILED ${name}`);
    if (!isFine) console.log(`${result.stdout ?? ''}${result.stderr ?? ''}${result.error?.message ?? ''}`);
  }
  for (const suite of suites) {
    const counts = runSuite(suite);
    for (const key of Object.keys(total)) total[key] += counts[key];
    notable.push(...counts.notable);
  }
  if (spawnSync('kubectl', ['version', '--client'], { stdio: 'ignore' }).status !== 0) {
    console.log(
      'kubectl (1.30 or newer) is not installed: the tests that drive clusters with it were skipped',
    );
  }
  for (const { program, args, what } of interopPrograms) {
    if (spawnSync(program, args, { stdio: 'ignore' }).status !== 0)
      console.log(`${program} is not installed: the interop tests of ${what} were skipped`);
  }
  if ((process.env.KUBEBUILDER_ASSETS ?? '') === '') {
    console.log(
      'KUBEBUILDER_ASSETS is not set: the conformance suites ran against the embedded API server only, not against kube-apiserver',
    );
  }
  // Repeated here: the reason of a failure may stand thousands of lines above.
  for (const line of notable) console.log(line);
  const skipped = total.skipped === 0 ? '' : `, ${total.skipped} skipped`;
  console.log(`${total.passed} passed, ${total.failed} failed${skipped}`);
  return total.failed === 0 ? 0 : 1;
}

function runSuite({ project, user }) {
  const suite = user === undefined ? project : `${project}, as an ordinary user`;
  const dir = mkdtempSync(join(tmpdir(), 'meshctl-check-'));
  const report = join(dir, 'report.json');
  try {
    console.log(`\n${suite} tests`);
    const run = spawnSync(
      bin('vitest'),
      ['run', '--project', project, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`],
      {
        stdio: ['ignore', 'inherit', 'inherit'],
        env: { ...process.env, ...(user === undefined ? {} : { MESHCTL_TEST_USER: user }) },
      },
    );
    const { numPassedTests, numFailedTests, numPendingTests, testResults } = JSON.parse(
      readFileSync(report, 'utf8'),
    );
    const failed = numFailedTests + testResults.filter(hasFailedAsWhole).length;
    return {
      passed: numPassedTests,
      failed: failed === 0 && run.status !== 0 ? 1 : failed,
      skipped: numPendingTests,
      notable: notableOf(suite, testResults),
    };
  } catch (error) {
    const line = `FAILED ${suite}: ${error instanceof Error ? error.message : String(error)}`;
    return { passed: 0, failed: 1, skipped: 0, notable: [line] };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Whether a file failed although none of its tests did: it could not load, or a hook failed, which skips tests. */
function hasFailedAsWhole({ status, assertionResults }) {
  return status === 'failed' && assertionResults.every((t) => t.status !== 'failed');
}

/** A line for each test that failed or was skipped, and for each file that failed as a whole (a hook, an import). */
function notableOf(suite, files) {
  const lines = [];
  for (const result of files) {
    const file = relative('.', result.name);
    if (hasFailedAsWhole(result)) lines.push(`FAILED ${suite}: ${file}\n${excerpt(result.message)}`);
    for (const t of result.assertionResults) {
      const what = `${suite}: ${file} > ${t.fullName}`;
      if (t.status === 'failed') lines.push(`FAILED ${what}\n${excerpt(t.failureMessages.join('\n'))}`);
      else if (t.status !== 'passed') lines.push(`skipped ${what}`);
    }
  }
  return lines;
}

/** The first lines of a message, indented. */
function excerpt(message) {
  return (message ?? '')
    .split('\n')
    .slice(0, messageLinesMax)
    .map((line) => `    ${line}`)
    .join('\n');
}
