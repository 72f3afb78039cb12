import { MeshError } from '../errors/mesh-error.js';

/** A reference in its parts, defaults filled in as container runtimes do. */
export interface ImageReference {
  readonly registry: string;
  readonly repository: string;
  readonly tag: string;
  /** When there is one, it alone says which image is meant. */
  readonly digest: string | undefined;
}

const registryPattern = /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:\d+)?$/;
const repositoryPart = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const tagPattern = /^\w[\w.-]{0,127}$/;
const digestPattern = /^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/;
const repositoryMaxChars = 255;

/** Parses `[registry/]repository[:tag][@digest]`; undefined when it is no reference at all. */
export function parseImageReference(reference: string): ImageReference | undefined {
  const [withoutDigest = '', digest, ...more] = reference.split('@');
  if (more.length > 0 || (digest !== undefined && !digestPattern.test(digest))) return undefined;
  const slash = withoutDigest.indexOf('/');
  const first = slash < 0 ? '' : withoutDigest.slice(0, slash);
  const hasRegistry = /[.:]/.test(first) || first === 'localhost';
  const registry = hasRegistry ? first : 'docker.io';
  const rest = hasRegistry ? withoutDigest.slice(slash + 1) : withoutDigest;
  const colon = rest.lastIndexOf(':');
  const name = colon < 0 ? rest : rest.slice(0, colon);
  const tag = colon < 0 ? 'latest' : rest.slice(colon + 1);
  if (!registryPattern.test(registry) || !tagPattern.test(tag)) return undefined;
  if (name.length > repositoryMaxChars || !name.split('/').every((part) => repositoryPart.test(part)))
    return undefined;
  // index.docker.io is the same registry under its older name.
  const home = registry === 'index.docker.io' ? 'docker.io' : registry;
  const repository = home === 'docker.io' && !name.includes('/') ? `library/${name}` : name;
  return { registry: home, repository, tag, digest };
}

/** Parses a reference. Throws MESH1200 when it is none. */
export function requireImageReference(reference: string): ImageReference {
  const parsed = parseImageReference(reference);
  if (parsed !== undefined) return parsed;
  throw new MeshError('MESH1200', `"${reference}" is no name of an image`);
}

/** The long form of a reference, as `docker.io/library/busybox:latest`. */
export function formatImageReference(r: ImageReference): string {
  return `${r.registry}/${r.repository}${r.digest === undefined ? `:${r.tag}` : `@${r.digest}`}`;
}
