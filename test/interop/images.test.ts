import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openArchiveSource } from '#base/oci/archive-source.js';
import { buildImages, machineArchitecture } from '../harness/built-images.js';
import { applyYaml, execIn, waitForPods } from '../harness/cluster.js';
import { command, meshctl, meshctlPath } from '../harness/meshctl.js';
import { useSandbox } from '../harness/sandbox.js';
import { temporaryFolder } from '../harness/temporary-folder.js';
import { describeWith } from './programs.js';

const hub = 'built.test/mesh';

describeWith('npm run images', { needs: ['apt mirrors with the locked packages', 'umoci'] }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'built-images-'));
  const layout = join(folder, 'out/layout');
  let printed = '';
  beforeAll(async () => {
    printed = await buildImages(join(folder, 'out'));
  }, 300_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('the same inputs make the same digests', async () => {
    const again = join(folder, 'again');
    const line = await buildImages(again, '--image', 'cni');
    expect(line).toMatch(/^docker\.io\/meshctl\/cni:\S+ {2}sha256:[0-9a-f]{64} {2}\w+ \d+\.\d MB\n$/);
    expect(printed).toContain(line);
    expect(manifestOf(join(again, 'layout'), 'cni')).toEqual(manifestOf(layout, 'cni'));
  });

  test('what the CNI agent calls is there, and runs', async () => {
    const inside = await unpacked('cni');
    expect(inside('node', '--version')).toMatch(/^v2\d\./);
    expect(inside('sh', '-c', 'iptables --version; unshare --version; nsenter --version; ip -V')).toMatch(
      /nf_tables[^]*unshare from util-linux[^]*nsenter from util-linux[^]*iproute2/,
    );
    expect(inside('mesh-cni', 'nonsense')).toContain('expected install-cni or cleanup');
  });

  test.each(['controller', 'ztunnel', 'waypoint'])('%s has no shell', async (name) => {
    expect((await unpacked(name))('sh', '-c', 'echo shell')).not.toContain('shell\n');
  });

  test('each image tells what is in it and how it was made', () => {
    const about = statements(layout, 'cni');
    expect(about).toMatchObject([
      { predicateType: 'https://spdx.dev/Document', predicate: { spdxVersion: 'SPDX-2.3' } },
      { predicateType: 'https://slsa.dev/provenance/v1' },
    ]);
    expect(JSON.stringify(about)).toMatch(/pkg:deb\/debian\/iptables@[^]*pkg:npm\/koffi@/);
  });

  test('a full disk is said, and nothing is left', async () => {
    const disk = await temporaryFolder('small-disk-');
    const target = join(disk, 'mesh.tar');
    const script = `mount -t tmpfs -o size=4m tmpfs ${disk} && node ${meshctlPath} images save ${target} --from ${layout}; code=$?; ls -A ${disk}; exit $code`;
    const { exitCode, stdout, stderr } = await command('unshare', [
      '--map-root-user',
      '--mount',
      'sh',
      '-c',
      script,
    ]);
    expect(stderr).toContain('MESH1208');
    expect([exitCode, stdout]).toEqual([1, '']);
    expect(existsSync(target)).toBe(false);
  });

  const sandbox = useSandbox('images', async ({ client, meshctl: run, env }) => {
    const load = ['images', 'load', '--sandbox', 'e2e-images', '--from', layout, '--hub', hub];
    for (const args of [
      [...load, '--include-tool'],
      ['install', '--hub', hub],
    ]) {
      const { exitCode, stderr } = await meshctl(args, { env, timeoutMs: 150_000 });
      expect(exitCode, stderr).toBe(0);
    }
    await applyYaml(client, shop);
    for (const app of ['web', 'client'])
      await waitForPods(client, { namespace: 'default', labelSelector: `app=${app}`, count: 1 });
    for (const args of [
      ['enroll', 'default', '--wait'],
      ['waypoint', 'apply', '-n', 'default', '--enroll-namespace', '--wait'],
    ]) {
      const { exitCode, stderr } = await run(args, { timeoutMs: 120_000 });
      expect(exitCode, stderr).toBe(0);
    }
  });

  test('a mesh of these images captures, encrypts and routes', async () => {
    const { kubectl, meshctl: run } = sandbox();
    const images = await kubectl(['get', 'pods', '-A', '-o', 'jsonpath={..containers[*].image}']);
    expect(new Set(images.stdout.split(' ').map((image) => image.replace(/\/[^/]+$/, '')))).toEqual(
      new Set([hub]),
    );
    const called = await execIn(sandbox().client, {
      namespace: 'default',
      labelSelector: 'app=client',
      command: ['tool', 'curl', 'http://web/'],
    });
    expect(called.stdout + called.stderr).toContain('x-request-id'); // of the waypoint
    const { stdout, exitCode } = await run(['status', '-o', 'json']);
    expect(exitCode, stdout).toBe(0);
  });

  /** Runs programs in the root file system of an image. */
  async function unpacked(name: string): Promise<(...words: string[]) => string> {
    const own = await temporaryFolder('unpacked-');
    const archive = join(folder, `out/images-${machineArchitecture}.tar`);
    mkdirSync(join(own, 'layout'));
    await command('tar', ['-xf', archive, '-C', join(own, 'layout')]);
    const { images } = await openArchiveSource(archive, AbortSignal.timeout(10_000));
    const image = images.find((each) => each.name.includes(`/${name}:`))?.name ?? name;
    const bundle = join(own, 'bundle');
    const result = await command('umoci', [
      'unpack',
      '--rootless',
      '--image',
      `${join(own, 'layout')}:${image}`,
      bundle,
    ]);
    expect(result.exitCode, result.stderr).toBe(0);
    return (...words) => {
      const { stdout, stderr } = spawnSync(
        'unshare',
        ['--map-root-user', 'chroot', join(bundle, 'rootfs'), ...words],
        { encoding: 'utf8', env: { PATH: '/usr/local/bin:/usr/bin:/usr/sbin' } },
      );
      return `${stdout}${stderr}`;
    };
  }
});

const shop = `
apiVersion: v1
kind: Service
metadata: { name: web, namespace: default }
spec: { selector: { app: web }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: web, namespace: default, labels: { app: web } }
spec: { containers: [{ name: c, image: ${hub}/tool:${version()} }] }
---
apiVersion: v1
kind: Pod
metadata: { name: client, namespace: default, labels: { app: client } }
spec: { containers: [{ name: c, image: ${hub}/tool:${version()}, args: [sleep, "3600"] }] }
`;

function version(): string {
  return (JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version;
}

interface Descriptor {
  readonly digest: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

function document(layout: string, digest: string): Record<string, Descriptor[]> {
  const path = join(layout, 'blobs', digest.replace(':', '/'));
  return JSON.parse(readFileSync(path, 'utf8')) as Record<string, Descriptor[]>;
}

/** The index of an image. */
function manifestOf(layout: string, name: string): Record<string, Descriptor[]> {
  const { manifests } = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as {
    manifests: Descriptor[];
  };
  const named = manifests.find((m) => m.annotations?.['io.containerd.image.name']?.includes(`/${name}:`));
  return document(layout, named?.digest ?? '');
}

/** The statements attached to an image. */
function statements(layout: string, name: string): unknown[] {
  const about = manifestOf(layout, name)['manifests']?.find(
    (m) => m.annotations?.['vnd.docker.reference.type'] !== undefined,
  );
  return (document(layout, about?.digest ?? '')['layers'] ?? []).map(({ digest }) =>
    document(layout, digest),
  );
}
