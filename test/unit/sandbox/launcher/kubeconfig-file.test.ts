import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { MeshError } from '#base/errors/mesh-error.js';
import { addContext, removeContext, renderKubeconfig } from '#sandbox/launcher/kubeconfig-file.js';
import { temporaryFolder } from '../../../harness/temporary-folder.js';

const entry = { name: 'sandbox-x', server: 'https://127.0.0.1:1', ca: 'CA', cert: 'CERT', key: 'KEY' };

const existing = `# my clusters
apiVersion: v1
kind: Config
current-context: work # the important one
contexts:
  - name: work
    context: { cluster: work, user: me }
clusters:
  - name: work
    cluster:
      server: https://work # do not touch
users: []
`;

async function fileWith(text?: string): Promise<string> {
  const path = join(await temporaryFolder('kubeconfig-'), 'sub', 'config');
  if (text === undefined) return path;
  const flat = join(await temporaryFolder('kubeconfig-'), 'config');
  await writeFile(flat, text);
  return flat;
}

describe('a context in the user kubeconfig', () => {
  test('is added beside what is there, comments kept, and becomes current', async () => {
    const path = await fileWith(existing);
    await chmod(path, 0o640);
    expect(await addContext(path, entry)).toBe('work');
    const text = await readFile(path, 'utf8');
    for (const comment of ['# my clusters', '# do not touch']) expect(text).toContain(comment);
    const config = parse(text);
    expect(config['current-context']).toBe('sandbox-x');
    expect(config.contexts.map((c: { name: string }) => c.name)).toEqual(['work', 'sandbox-x']);
    expect(config.users[0].user['client-key-data']).toBe(Buffer.from('KEY').toString('base64'));
    expect((await stat(path)).mode & 0o777).toBe(0o640);
  });

  test('is replaced, not doubled, by a second up', async () => {
    const path = await fileWith(existing);
    await addContext(path, entry);
    expect(await addContext(path, { ...entry, server: 'https://127.0.0.1:2' })).toBe('sandbox-x');
    const config = parse(await readFile(path, 'utf8'));
    expect(config.clusters).toHaveLength(2);
    expect(config.clusters[1].cluster.server).toBe('https://127.0.0.1:2');
  });

  test('is taken out again, and the context before is current', async () => {
    const path = await fileWith(existing);
    await addContext(path, entry);
    await removeContext(path, 'sandbox-x', 'work');
    const config = parse(await readFile(path, 'utf8'));
    expect(config).toEqual(parse(existing));
  });

  test('leaves the current context alone when the user has chosen another', async () => {
    const path = await fileWith(existing);
    await addContext(path, entry);
    await writeFile(
      path,
      (await readFile(path, 'utf8')).replace('current-context: sandbox-x', 'current-context: work'),
    );
    await removeContext(path, 'sandbox-x', undefined);
    expect(parse(await readFile(path, 'utf8'))['current-context']).toBe('work');
  });

  test('a missing file is made, readable by its owner only', async () => {
    const path = await fileWith();
    expect(await addContext(path, entry)).toBeUndefined();
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(parse(await readFile(path, 'utf8')).kind).toBe('Config');
  });

  test('a file that is not YAML is left as it is', async () => {
    const path = await fileWith('a: [');
    await expect(addContext(path, entry)).rejects.toBeInstanceOf(MeshError);
    expect(await readFile(path, 'utf8')).toBe('a: [');
  });

  test('a kubeconfig of its own has just this context', () => {
    const config = parse(renderKubeconfig(entry));
    expect(config.contexts).toEqual([
      { name: 'sandbox-x', context: { cluster: 'sandbox-x', user: 'sandbox-x' } },
    ]);
    expect(config['current-context']).toBe('sandbox-x');
  });
});
