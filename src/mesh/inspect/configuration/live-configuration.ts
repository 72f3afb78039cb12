import { counted } from '#base/collections/counted.js';
import { isForbidden, isNotFound } from '#base/kube/api-error.js';
import { refusalText } from '#base/kube/refusals.js';
import type { KubeClient } from '#base/kube/client.js';
import { messageOf } from '#base/errors/mesh-error.js';
import { namespaces as namespaceResource, type Resource } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import type { Finding } from '../findings/finding.js';
import type { MeshObserver } from '../mesh-observer.js';
import { Configuration, kindKey, type KnownObjects } from './configuration.js';

/**
 * Reads objects of the given kinds: of all namespaces, or of those asked about and of the mesh's own and root
 * namespaces, whose objects are for everybody. A kind that the cluster does not know has no objects; what the user may
 * not read becomes a finding. Rejects when the cluster cannot be reached.
 */
export async function readConfiguration(
  observer: MeshObserver,
  of: { readonly resources: readonly Resource[]; readonly namespaces?: readonly string[] | undefined },
): Promise<Configuration> {
  const { client, meshNamespace } = observer;
  const settings = await observer.settings();
  const kinds = new Map<string, KnownObjects>();
  const refused: string[] = [];
  await Promise.all(
    of.resources.map(async (resource) => {
      const spaces =
        of.namespaces === undefined || !resource.isNamespaced
          ? undefined
          : [...new Set([...of.namespaces, meshNamespace, settings.mesh.rootNamespace])];
      const known = await readKind(client, resource, { spaces, refused });
      // Who may not list namespaces may often get their own.
      const isOwn = resource.kind === namespaceResource.kind && resource.group === '' && known.seen !== 'all';
      kinds.set(
        kindKey(resource),
        isOwn ? { ...known, objects: await readNamespaces(client, of.namespaces ?? []) } : known,
      );
    }),
  );
  return new Configuration({
    kinds,
    settings,
    meshNamespace,
    namespaces: of.namespaces,
    unseen: unseenFindings(refused),
  });
}

async function readKind(
  client: KubeClient,
  resource: Resource,
  into: { readonly spaces: readonly string[] | undefined; readonly refused: string[] },
): Promise<KnownObjects> {
  const list = async (namespace?: string): Promise<readonly KubeObject[] | undefined> => {
    try {
      return await listServed(client, resource, namespace);
    } catch (error) {
      if (!isForbidden(error)) throw error;
      into.refused.push(messageOf(error));
      client.refusals.drop(messageOf(error));
      return undefined;
    }
  };
  if (into.spaces === undefined) {
    const objects = await list();
    return objects === undefined ? { objects: [], seen: new Set() } : { objects, seen: 'all' };
  }
  const seen = new Set<string>();
  const lists = await Promise.all(
    into.spaces.map(async (namespace) => {
      const objects = await list(namespace);
      if (objects !== undefined) seen.add(namespace);
      return objects ?? [];
    }),
  );
  return { objects: lists.flat(), seen };
}

/** The namespaces that the user may get, of those asked about. */
async function readNamespaces(client: KubeClient, names: readonly string[]): Promise<readonly KubeObject[]> {
  const found = await Promise.all(
    names.map(async (name) => {
      try {
        return await client.getOrUndefined<KubeObject>({ resource: namespaceResource, name });
      } catch (error) {
        if (isForbidden(error)) return undefined;
        throw error;
      }
    }),
  );
  return found.flatMap((namespace) => namespace ?? []);
}

/** Objects of a kind in the version that is read, else in one that the cluster serves; none where it serves none. */
async function listServed(
  client: KubeClient,
  resource: Resource,
  namespace: string | undefined,
): Promise<readonly KubeObject[]> {
  for await (const version of versionsOf(client, resource)) {
    try {
      return await client.list<KubeObject>({ ...resource, version }, { namespace });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
  return [];
}

/** The version that is read, then the others of the group: which of them has the kind, only asking tells. */
async function* versionsOf(client: KubeClient, { group, version }: Resource): AsyncGenerator<string> {
  yield version;
  if (group === '') return;
  try {
    const found = await client.request<ApiGroup>({ method: 'GET', path: `/apis/${group}` });
    yield* (found.versions ?? []).map((one) => one.version).filter((one) => one !== version);
  } catch (error) {
    // Whoever may not ask what is served sees what is served in the version that is read.
    if (!isNotFound(error) && !isForbidden(error)) throw error;
  }
}

/** meta/v1 APIGroup. */
interface ApiGroup {
  readonly versions?: readonly { readonly version: string }[];
}

function unseenFindings(refused: readonly string[]): readonly Finding[] {
  const [first] = refused;
  if (first === undefined) return [];
  return [
    {
      code: 'MESH0926',
      severity: 'info',
      message: `not seen: ${counted(refused.length, 'kind')} of objects, which this user may not list`,
      evidence: refusalText(refused),
      fix: 'Ask for the role meshctl-viewer, or limit the question to your namespace (-n).',
    },
  ];
}
