/** What an image says about the process to run, as in an OCI image configuration. */
export interface ImageConfig {
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workingDir: string;
  /** `uid[:gid]` or empty for root. */
  readonly user: string;
}

/** An image that is present on the node. */
export interface ContainerImage {
  /** The normalised reference, e.g. `docker.io/meshctl/tool:0.1.0`. */
  readonly reference: string;
  readonly id: string;
  readonly config: ImageConfig;
  /** Whether the host's own programs (setpriv, setsid) can be run inside. */
  readonly hasHostPrograms: boolean;
  /** Fills an empty folder (as the supervisor sees it) with what the container may write to. */
  prepareRootfs(folder: string): Promise<void>;
  /** bubblewrap arguments, with paths on the node, that complete the file system below `/`. */
  readonly mountArgs: readonly string[];
}

/** Where images come from; several stores are asked in turn. */
export interface ImageStore {
  find(reference: string): ContainerImage | undefined;
}

/** A reference in its parts, defaults filled in as container runtimes do. */
export interface ImageReference {
  readonly registry: string;
  readonly repository: string;
  readonly tag: string;
  readonly digest: string | undefined;
}

/** Parses `[registry/]repository[:tag][@digest]`; undefined when it is no reference at all. */
export function parseImageReference(reference: string): ImageReference | undefined {
  const [withoutDigest = '', digest] = reference.split('@', 2);
  const slash = withoutDigest.indexOf('/');
  const first = slash < 0 ? '' : withoutDigest.slice(0, slash);
  const hasRegistry = /[.:]/.test(first) || first === 'localhost';
  const registry = hasRegistry ? first : 'docker.io';
  const rest = hasRegistry ? withoutDigest.slice(slash + 1) : withoutDigest;
  const colon = rest.lastIndexOf(':');
  const name = colon < 0 ? rest : rest.slice(0, colon);
  const tag = colon < 0 ? 'latest' : rest.slice(colon + 1);
  if (!/^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:\d+)?$/.test(registry)) return undefined;
  if (!/^[a-z0-9]+([._/-]+[a-z0-9]+)*$/.test(name) || !/^[\w][\w.-]{0,127}$/.test(tag)) return undefined;
  const repository = registry === 'docker.io' && !name.includes('/') ? `library/${name}` : name;
  return { registry, repository, tag, digest };
}

/** The long form of a reference, as `docker.io/library/busybox:latest`. */
export function formatImageReference(r: ImageReference): string {
  return `${r.registry}/${r.repository}${r.digest === undefined ? `:${r.tag}` : `@${r.digest}`}`;
}
