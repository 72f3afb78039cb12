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
/**
 * Tests of real processes and networks have deadlines, which pass on a busy machine: what fails there runs once more.
 * Root runs the end-to-end tests twice: every sandbox as root, then every sandbox as a user without any rights.
 */
const suites = [
  { project: 'unit', hasDeadlines: false },
  { project: 'integration', hasDeadlines: true },
  { project: 'conformance', hasDeadlines: true },
  { project: 'interop', hasDeadlines: true },
  { project: 'e2e', hasDeadlines: true },
  ...(process.getuid?.() === 0 ? [{ project: 'e2e', hasDeadlines: true, user: 'ordinary' }] : []),
];

/**
 * What the controller decides and what commands tell of a cluster is the same whoever started it: once, as root, is
 * enough. What nodes, pods and proxies do is tried as both.
 */
const alikeForAll = [
  'test/e2e/mesh/account-waypoint.test.ts',
  'test/e2e/mesh/broken-states/**',
  'test/e2e/mesh/endpoints.test.ts',
  'test/e2e/mesh/inspect.test.ts',
  'test/e2e/mesh/permissions.test.ts',
  'test/e2e/mesh/trust-domain.test.ts',
];

/** With more failed files than this the machine is not to blame. */
const repeatedFilesMax = 2;

/** Lines of a failure that are repeated at the end. */
const messageLinesMax = 12;

/** What test/interop needs besides Node.js and kubectl, and how to see that it is there. */
const interopPrograms = [
  { program: 'helm', args: ['version'], what: 'helm charts' },
  { program: 'go', args: ['version'], what: 'a controller made with controller-runtime' },
  { program: 'python3', args: ['-c', 'import venv, ensurepip'], what: 'the Python client' },
  { program: 'docker-registry', args: ['--version'], what: 'image registries' },
  { program: 'skopeo', args: ['--version'], what: 'image registries' },
  { program: 'umoci', args: ['--version'], what: 'image archives' },
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
    // In CI a machine that hung for a moment must not cost a whole run; whoever checks a change must see the defect.
    if (process.env.CI === undefined || process.env.CI === '') total.failed += counts.unstable;
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

/**
 * Runs one project. What passes only when it is repeated is named at the end with the reason of its failure: it is a
 * defect to be mended. Its file counts as failed, except in CI (environment variable CI).
 */
function runSuite({ project, hasDeadlines, user }) {
  const suite = user === undefined ? project : `${project}, as an ordinary user`;
  console.log(`\n${suite} tests`);
  try {
    const files = runVitest({ project, user });
    const failed = files.filter(({ status }) => status === 'failed');
    if (failed.length === 0 || failed.length > repeatedFilesMax || !hasDeadlines)
      return outcomeOf(suite, files, []);
    console.log(`\n${suite} tests: once more, what failed`);
    const again = runVitest({ project, user, only: failed.map(({ name }) => name) });
    const names = new Set(again.map(({ name }) => name));
    return outcomeOf(suite, [...files.filter(({ name }) => !names.has(name)), ...again], failed);
  } catch (error) {
    const line = `FAILED ${suite}: ${error instanceof Error ? error.message : String(error)}`;
    return { passed: 0, failed: 1, skipped: 0, unstable: 0, notable: [line] };
  }
}

/** Results by file. Throws when vitest failed for another reason than a test: an error nobody caught, no file found. */
function runVitest({ project, user, only = [] }) {
  const dir = mkdtempSync(join(tmpdir(), 'meshctl-check-'));
  const report = join(dir, 'report.json');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  try {
    const left = user === undefined ? [] : alikeForAll.flatMap((pattern) => ['--exclude', pattern]);
    const run = spawnSync(bin('vitest'), ['run', '--project', project, ...reporters, ...left, ...only], {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, ...(user === undefined ? {} : { MESHCTL_TEST_USER: user }) },
    });
    const { testResults } = JSON.parse(readFileSync(report, 'utf8'));
    if (run.status !== 0 && testResults.every(({ status }) => status === 'passed'))
      throw new Error(`vitest ended with ${run.status ?? run.signal} although no test failed, see above`);
    return testResults;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Counts the results, and tells what failed, what was skipped, and what failed only the first time. */
function outcomeOf(suite, files, failedBefore) {
  const states = files.flatMap(({ assertionResults }) => assertionResults.map(({ status }) => status));
  const passed = states.filter((state) => state === 'passed').length;
  const failed = states.filter((state) => state === 'failed').length;
  const stillFails = (name) => files.some((file) => file.name === name && file.status === 'failed');
  const unstable = failedBefore.filter(({ name }) => !stillFails(name));
  return {
    passed,
    failed: failed + files.filter(hasFailedAsWhole).length,
    skipped: states.length - passed - failed,
    unstable: unstable.length,
    notable: [
      ...linesOf('UNSTABLE', suite, unstable),
      ...linesOf('FAILED', suite, files),
      ...skippedOf(suite, files),
    ],
  };
}

/** Whether a file failed although none of its tests did: it could not load, or a hook failed, which skips tests. */
function hasFailedAsWhole({ status, assertionResults }) {
  return status === 'failed' && assertionResults.every((t) => t.status !== 'failed');
}

/** A line for each failed test, and for each file that failed as a whole. */
function linesOf(word, suite, files) {
  return files.flatMap((result) => {
    const file = `${word} ${suite}: ${relative('.', result.name)}`;
    const tests = result.assertionResults
      .filter(({ status }) => status === 'failed')
      .map((t) => `${file} > ${t.fullName}\n${excerpt(t.failureMessages.join('\n'))}`);
    return hasFailedAsWhole(result) ? [`${file}\n${excerpt(result.message)}`, ...tests] : tests;
  });
}

function skippedOf(suite, files) {
  return files.flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter(({ status }) => status !== 'passed' && status !== 'failed')
      .map((t) => `skipped ${suite}: ${relative('.', name)} > ${t.fullName}`),
  );
}

/** The first lines of a message, indented. */
function excerpt(message) {
  return (message ?? '')
    .split('\n')
    .slice(0, messageLinesMax)
    .map((line) => `    ${line}`)
    .join('\n');
}
