import { groupBy } from '#base/collections/group-by.js';
import { namespaces, type Resource } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import type { Finding } from '../findings/finding.js';
import type { MeshSettings } from '../mesh-settings.js';

/** Objects of one kind, and how far they are all that there are. */
export interface KnownObjects {
  readonly objects: readonly KubeObject[];
  /** `all`: of the whole cluster; else the namespaces that were read: elsewhere, absence tells nothing. */
  readonly seen: 'all' | ReadonlySet<string>;
}

interface ObjectIndex {
  readonly byName: ReadonlyMap<string, KubeObject>;
  readonly byNamespace: ReadonlyMap<string, readonly KubeObject[]>;
}

/** What the mesh is asked for, as far as it could be read: live, from files, or files over what is live. */
export class Configuration {
  readonly #kinds: ReadonlyMap<string, KnownObjects>;
  readonly #places: ReadonlyMap<KubeObject, string>;
  /** By kind, made when first asked for. */
  readonly #indexes = new Map<string, ObjectIndex>();
  readonly settings: MeshSettings;
  readonly meshNamespace: string;
  /** Namespaces asked about; undefined: all. */
  readonly namespaces: readonly string[] | undefined;
  /** What could not be read, and why; said once. */
  readonly unseen: readonly Finding[];

  constructor(from: {
    /** By {@link kindKey}. */
    readonly kinds: ReadonlyMap<string, KnownObjects>;
    readonly settings: MeshSettings;
    readonly meshNamespace: string;
    readonly namespaces: readonly string[] | undefined;
    readonly unseen: readonly Finding[];
    /** Where objects of files stand: `shop.yaml:12`. */
    readonly places?: ReadonlyMap<KubeObject, string>;
  }) {
    this.#kinds = from.kinds;
    this.#places = from.places ?? new Map();
    this.settings = from.settings;
    this.meshNamespace = from.meshNamespace;
    this.namespaces = from.namespaces;
    this.unseen = from.unseen;
  }

  /** The known objects of a kind, in every namespace that was read. */
  list<T extends KubeObject>(resource: Resource): readonly T[] {
    return (this.#kinds.get(kindKey(resource))?.objects ?? []) as readonly T[];
  }

  /** An object by name; undefined when there is none, or when it could not be seen ({@link isSeen}). */
  find<T extends KubeObject>(
    resource: Resource,
    at: { readonly namespace?: string; readonly name: string },
  ): T | undefined {
    return this.#indexOf(resource).byName.get(`${at.namespace ?? ''}/${at.name}`) as T | undefined;
  }

  /** The known objects of a kind in a namespace. */
  inNamespace<T extends KubeObject>(resource: Resource, namespace: string): readonly T[] {
    return (this.#indexOf(resource).byNamespace.get(namespace) ?? []) as readonly T[];
  }

  /** Whether all objects of a kind in a namespace are known, so that what is absent here is absent there. */
  isSeen(resource: Resource, namespace = ''): boolean {
    const seen = this.seenOf(resource);
    return seen === 'all' || seen.has(namespace);
  }

  /** Whether it is known what a namespace is labeled: that it has no label means nothing where it could not be seen. */
  isNamespaceKnown(name: string): boolean {
    return this.isSeen(namespaces) || this.find(namespaces, { name }) !== undefined;
  }

  /** Where all objects of a kind are known. */
  seenOf(resource: Resource): KnownObjects['seen'] {
    return this.#kinds.get(kindKey(resource))?.seen ?? new Set();
  }

  /** Whether an object is one of those asked about: others are known only because these refer to them. */
  isAskedAbout({ kind, metadata }: KubeObject): boolean {
    const namespace = kind === 'Namespace' ? metadata.name : metadata.namespace;
    return this.namespaces === undefined || namespace === undefined || this.namespaces.includes(namespace);
  }

  /** Where an object stands in a file; undefined when it is live. */
  placeOf(object: KubeObject): string | undefined {
    return this.#places.get(object);
  }

  #indexOf(resource: Resource): ObjectIndex {
    const key = kindKey(resource);
    const known = this.#indexes.get(key);
    if (known !== undefined) return known;
    const objects = this.list(resource);
    const index = {
      byName: new Map(objects.map((o) => [`${o.metadata.namespace ?? ''}/${o.metadata.name}`, o])),
      byNamespace: groupBy(objects, ({ metadata }) => metadata.namespace ?? ''),
    };
    this.#indexes.set(key, index);
    return index;
  }
}

/** Name of a kind in a {@link Configuration}, whatever the version. */
export function kindKey({ group, kind }: Pick<Resource, 'group' | 'kind'>): string {
  return `${group}/${kind}`;
}
