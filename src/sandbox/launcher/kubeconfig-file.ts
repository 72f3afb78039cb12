import { chmod, mkdir, open, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Document, isMap, isSeq, parseDocument, type YAMLMap, type YAMLSeq } from 'yaml';
import { MeshError } from '#base/errors/mesh-error.js';

/** What one context needs; PEM values. */
export interface ContextEntry {
  readonly name: string;
  readonly server: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

const lockRetriesMax = 50;
const lockRetryMs = 100;

/** The kubeconfig that kubectl would write to: the first entry of KUBECONFIG, or ~/.kube/config. */
export function userKubeconfigPath(env: NodeJS.ProcessEnv = process.env): string {
  const first = (env['KUBECONFIG'] ?? '').split(':').find((path) => path !== '');
  return first ?? join(homedir(), '.kube/config');
}

/** A kubeconfig with nothing but this context. */
export function renderKubeconfig(entry: ContextEntry): string {
  const document = parseDocument('apiVersion: v1\nkind: Config\npreferences: {}\n');
  putContext(document, entry);
  return document.toString({ lineWidth: 0 });
}

/**
 * Adds (or replaces) a context and makes it the current one, leaving everything
 * else, comments included, as it is. Returns the current context before. Throws MESH0808.
 */
export async function addContext(path: string, entry: ContextEntry): Promise<string | undefined> {
  let previous: string | undefined;
  await edit(path, (document) => {
    const current: unknown = document.get('current-context');
    previous = typeof current === 'string' && current !== '' ? current : undefined;
    putContext(document, entry);
  });
  return previous;
}

/** Removes a context with its cluster and user; the current context becomes `previous`, if that still exists. */
export async function removeContext(path: string, name: string, previous: string | undefined): Promise<void> {
  if ((await stat(path).catch(() => undefined)) === undefined) return;
  await edit(path, (document) => {
    for (const section of ['contexts', 'clusters', 'users']) {
      const items = document.get(section);
      if (isSeq(items)) items.items = items.items.filter((item) => !hasName(item, name));
    }
    if (document.get('current-context') !== name) return;
    const contexts = document.get('contexts');
    const isThere = isSeq(contexts) && contexts.items.some((item) => hasName(item, previous));
    document.set('current-context', isThere ? previous : '');
  });
}

function putContext(document: Document, { name, server, ca, cert, key }: ContextEntry): void {
  const base64 = (pem: string): string => Buffer.from(pem).toString('base64');
  put(document, 'clusters', { name, cluster: { server, 'certificate-authority-data': base64(ca) } });
  put(document, 'users', {
    name,
    user: { 'client-certificate-data': base64(cert), 'client-key-data': base64(key) },
  });
  put(document, 'contexts', { name, context: { cluster: name, user: name } });
  document.set('current-context', name);
}

function put(
  document: Document,
  section: string,
  value: { readonly name: string; readonly [key: string]: unknown },
): void {
  let items = document.get(section);
  if (!isSeq(items)) {
    items = document.createNode([]);
    document.set(section, items);
  }
  const sequence = items as YAMLSeq; // an empty array makes a sequence
  // An empty list written `[]` would keep that style for what is put in.
  sequence.flow = false;
  const node = document.createNode(value);
  const index = sequence.items.findIndex((item) => hasName(item, value.name));
  if (index < 0) sequence.items.push(node);
  else sequence.items[index] = node;
}

function hasName(item: unknown, name: string | undefined): boolean {
  return isMap(item) && (item as YAMLMap).get('name') === name;
}

/** Reads, changes and replaces the file in one step, under kubectl's own lock file. */
async function edit(path: string, change: (document: Document) => void): Promise<void> {
  const file = await realpath(path).catch(() => path); // a link to the file is kept
  await mkdir(dirname(file), { recursive: true });
  const unlock = await lock(`${file}.lock`);
  try {
    const text = await readFile(file, 'utf8').catch(() => '');
    const document = parseDocument(
      text.trim() === '' ? 'apiVersion: v1\nkind: Config\npreferences: {}\n' : text,
    );
    const [problem] = document.errors;
    if (problem !== undefined || !isMap(document.contents))
      throw new MeshError('MESH0808', `${file} is not a valid kubeconfig`, {
        evidence: problem?.message ?? 'not a YAML mapping',
      });
    change(document);
    const mode = (await stat(file).catch(() => undefined))?.mode ?? 0o600;
    const temporary = `${file}.meshctl-${process.pid}`;
    await writeFile(temporary, document.toString({ lineWidth: 0 }), { mode: 0o600 });
    await chmod(temporary, mode & 0o777);
    await rename(temporary, file);
  } finally {
    await unlock();
  }
}

async function lock(path: string): Promise<() => Promise<void>> {
  for (let attempt = 0; attempt < lockRetriesMax; attempt++) {
    const handle = await open(path, 'wx').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return undefined;
      throw new MeshError('MESH0808', `${path} cannot be created`, { evidence: error.message, cause: error });
    });
    if (handle !== undefined) {
      await handle.close();
      return () => rm(path, { force: true });
    }
    await delay(lockRetryMs);
  }
  throw new MeshError('MESH0808', `${path} is held by another program`, {
    hint: `if no kubectl is running, remove it: rm ${path}`,
  });
}
