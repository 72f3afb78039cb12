import { runInProcess } from '../../harness/in-process.js';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'analyze-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'shop.yaml');
writeFileSync(
  file,
  `apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio.io/dataplane_mode: ambient } }
---
apiVersion: example.com/v1
kind: Thing
metadata: { name: ignored }
---
apiVersion: v1
kind: Pod
metadata: { name: web, namespace: shop }
spec: { containers: none }
`,
);

const analyze = (...args: string[]) => runInProcess(['analyze', ...args], { KUBECONFIG: '/nonexistent' });

describe('files without a cluster', () => {
  test('on purpose: findings with their places, and exit code 1', async () => {
    const { code, stdout } = await analyze('-f', folder, '--use-kube=false');
    expect(code).toBe(1);
    expect(stdout).toMatch(/^1 error, 1 warning, 0 notes in 2 objects of files\.\n/);
    expect(stdout).toContain(`(${file}:1)`);
    expect(stdout).toContain(
      `error MESH1191 Pod shop/web is not what its kind asks for: spec.containers must be array (${file}:9)`,
    );
  });

  test('because there is none: that is said once', async () => {
    const { code, stdout } = await analyze('-f', file);
    expect(code).toBe(1);
    expect(stdout.match(/MESH1195/g)).toHaveLength(1);
  });

  test.each([[['--use-kube=true']], [['--context', 'prod']]])(
    '%j asks for a cluster, and fails without one',
    async (args) => {
      const { code, stdout, stderr } = await analyze('-f', file, ...args);
      expect(code, stderr).toBe(3);
      expect(stdout).toBe('');
    },
  );

  test('kinds that no check reads are told when asked', async () => {
    const args = ['-f', file, '--use-kube=false'];
    expect((await analyze(...args)).stderr).toBe('');
    expect((await analyze(...args, '-v')).stderr).toContain(
      '1 of example.com/Thing: no check reads this kind',
    );
  });

  test('exit codes: --fail-on, a path that is not there, nothing to analyze', async () => {
    const suppressed = ['-S', 'MESH1191=Pod web.shop'];
    expect((await analyze('-f', file, '--use-kube=false', ...suppressed)).code).toBe(0);
    expect((await analyze('-f', file, '--use-kube=false', ...suppressed, '--fail-on', 'warning')).code).toBe(
      1,
    );
    expect((await analyze('-f', file, '--use-kube=false', '--fail-on', 'never')).code).toBe(0);
    expect((await analyze('-f', join(folder, 'none'))).code).toBe(2);
    expect((await analyze('--use-kube=false')).code).toBe(2);
  });
});

interface Sarif {
  readonly version: string;
  readonly runs: readonly {
    readonly tool: { readonly driver: { readonly rules: readonly { id: string; help: { text: string } }[] } };
    readonly results: readonly {
      readonly ruleId: string;
      readonly ruleIndex: number;
      readonly level: string;
      readonly message: { readonly text: string };
      readonly locations: readonly {
        readonly physicalLocation: {
          readonly artifactLocation: { readonly uri: string };
          readonly region: { readonly startLine: number };
        };
      }[];
    }[];
  }[];
}

test('SARIF: every result has its rule, a level, a place', async () => {
  const { stdout } = await analyze('-f', file, '--use-kube=false', '-o', 'sarif');
  const { version, runs } = JSON.parse(stdout) as Sarif;
  expect(version).toBe('2.1.0');
  const [run] = runs;
  const rules = run?.tool.driver.rules ?? [];
  for (const { id, help } of rules) expect(help.text).toContain(`docs/errors.md#${id.toLowerCase()}`);
  const results = run?.results ?? [];
  expect(results.map(({ ruleId, level }) => `${ruleId} ${level}`)).toEqual([
    'MESH1191 error',
    'MESH1101 warning',
  ]);
  for (const { ruleId, ruleIndex, message, locations } of results) {
    expect(rules[ruleIndex]?.id).toBe(ruleId);
    expect(message.text).not.toBe('');
    expect(locations[0]?.physicalLocation.artifactLocation.uri).toBe(file);
  }
  expect(results.map(({ locations }) => locations[0]?.physicalLocation.region.startLine)).toEqual([9, 1]);
});

test('JUnit: findings fail, every other check passes', async () => {
  const { stdout } = await analyze('-f', file, '--use-kube=false', '-o', 'junit');
  expect(stdout).toContain('<failure type="MESH1191"');
  expect(stdout).toContain('failures="2"');
  expect(stdout).toMatch(/<testcase classname="MESH1140" name="no: [^"]+"\/>/);
});

test('JSON: findings with the place where their code is explained', async () => {
  const { stdout } = await analyze('-f', file, '--use-kube=false', '-o', 'json');
  expect(JSON.parse(stdout)).toMatchObject({
    kind: 'Analysis',
    findings: [
      { code: 'MESH1191', severity: 'error', docs: 'docs/errors.md#mesh1191', place: `${file}:9` },
      { code: 'MESH1101', severity: 'warning', docs: 'docs/errors.md#mesh1101', place: `${file}:1` },
    ],
  });
});
