import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openArchiveSource } from '#base/oci/archive-source.js';
import { command } from '../harness/meshctl.js';
import { temporaryFolder } from '../harness/temporary-folder.js';
import { describeWith } from './programs.js';

const buildMaxMs = 240_000;

/** Builds images with `npm run images`' own program; the lines it prints. */
async function build(out: string, ...args: string[]): Promise<string> {
  const script = `import('${join(process.cwd(), 'dist/images.js')}').then(async (m) => process.exit(await m.main(process.argv.slice(1))))`;
  const { exitCode, stdout, stderr } = await command('node', ['-e', script, '--', ...args, '--out', out], {
    timeoutMs: buildMaxMs,
  });
  expect(exitCode, stderr).toBe(0);
  return stdout;
}

describeWith('npm run images', { needs: ['apt mirrors', 'umoci'] }, () => {
  test(
    'the same inputs make the same digests; the image runs, and tells what is in it',
    async () => {
      const folder = await temporaryFolder('images-');
      const [one, two] = [join(folder, 'one'), join(folder, 'two')];
      const args = [
        '--image',
        'cni',
        '--platform',
        `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`,
      ];
      const printed = await build(one, ...args);
      expect(await build(two, ...args)).toBe(printed);
      const index = readFileSync(join(one, 'layout/index.json'), 'utf8');
      expect(readFileSync(join(two, 'layout/index.json'), 'utf8')).toBe(index);
      expect(printed).toMatch(/^docker\.io\/meshctl\/cni:\S+ {2}sha256:[0-9a-f]{64} {2}\w+ \d+\.\d MB$/m);

      const [image] = (await openArchiveSource(join(one, 'layout'), AbortSignal.timeout(10_000))).images;
      const architecture = args[3]?.split('/')[1] ?? '';
      const archive = join(one, `images-${architecture}.tar`);
      await command('mkdir', [join(folder, 'plain')]);
      await command('tar', ['-xf', archive, '-C', join(folder, 'plain')]);
      const bundle = join(folder, 'bundle');
      const unpacked = await command('umoci', [
        'unpack',
        '--rootless',
        '--image',
        `${join(folder, 'plain')}:${image?.name}`,
        bundle,
      ]);
      expect(unpacked.exitCode, unpacked.stderr).toBe(0);
      const inside = (...words: string[]): string => {
        const rootfs = join(bundle, 'rootfs');
        const ran = spawnSync('unshare', ['--map-root-user', 'chroot', rootfs, ...words], {
          encoding: 'utf8',
          env: { PATH: '/usr/local/bin:/usr/bin:/usr/sbin' },
        });
        return `${ran.stdout}${ran.stderr}`;
      };
      expect(inside('node', '--version')).toMatch(/^v2\d\./);
      expect(inside('sh', '-c', 'iptables --version; unshare --version; nsenter --version; ip -V')).toMatch(
        /nf_tables[^]*unshare from util-linux[^]*nsenter from util-linux[^]*iproute2/,
      );
      expect(inside('mesh-cni', 'nonsense')).toContain('expected install-cni or cleanup');

      const about = await statements(join(one, 'layout'));
      expect(about).toMatchObject([
        { predicateType: 'https://spdx.dev/Document', predicate: { spdxVersion: 'SPDX-2.3' } },
        { predicateType: 'https://slsa.dev/provenance/v1' },
      ]);
      expect(JSON.stringify(about)).toMatch(/pkg:deb\/debian\/iptables@[^]*pkg:npm\/koffi@/);
    },
    2 * buildMaxMs,
  );
});

interface Manifest {
  readonly digest: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The statements attached to the only image of a layout. */
async function statements(layout: string): Promise<unknown[]> {
  const read = (digest: string): unknown =>
    JSON.parse(readFileSync(join(layout, 'blobs', digest.replace(':', '/')), 'utf8'));
  const [image] = (await openArchiveSource(layout, AbortSignal.timeout(10_000))).images;
  const index = read(image?.root.digest ?? '') as { manifests: Manifest[] };
  const about = index.manifests.find((m) => m.annotations?.['vnd.docker.reference.type'] !== undefined);
  const { layers } = read(about?.digest ?? '') as { layers: Manifest[] };
  return layers.map(({ digest }) => read(digest));
}
