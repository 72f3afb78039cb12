import type { ErrorCode } from '../errors/mesh-error.js';

/** Images, archives and registries: MESH0840 to MESH0843, and MESH1200 to MESH1249. */
export const ociCodes = {
  MESH0840: {
    kind: 'usage',
    title: 'this is not an image archive',
    cause: 'The file cannot be read, or is neither an OCI layout nor what `docker save` writes.',
    fix: 'Make one with `docker save IMAGE -o image.tar`, `podman save` or `buildah push IMAGE oci-archive:image.tar`.',
  },
  MESH0841: {
    kind: 'failed',
    title: 'the image archive is damaged or not trustworthy',
    cause:
      'A part is missing, does not have the digest it is named by, or holds what no image may hold, as paths that lead out of it.',
    fix: 'Save the image again. Nothing of it was used.',
  },
  MESH0842: {
    kind: 'failed',
    title: 'the image archive is too large',
    cause:
      'Unpacked it would take more than half of the free disk space (at most 32 GiB), or it holds too many files.',
    fix: 'Free disk space, or make the image smaller. Nothing of it was used.',
  },
  MESH0843: {
    kind: 'failed',
    title: 'the image is not for this machine',
    cause: 'It was built for another operating system or processor.',
    fix: 'Build or save it for this machine, for example with `docker save --platform`.',
  },
  MESH1200: {
    kind: 'usage',
    title: 'this is no name of an image',
    cause:
      'A reference is `[registry/]repository[:tag][@digest]`: lower-case names, a tag of at most 128 letters, digits, `_`, `.` and `-`.',
    fix: 'Correct the name; for --hub: registry and path, without a tag and without https://.',
  },
  MESH1201: {
    kind: 'access',
    title: 'the registry cannot be reached',
    cause:
      'No connection came about: the name does not resolve, nothing listens there, or packets are dropped on the way.',
    fix: 'Check the name and the network between; a registry without TLS needs --plain-http.',
  },
  MESH1202: {
    kind: 'access',
    title: 'the registry does not accept these credentials',
    cause: 'It answered 401 Unauthorized: user or password are wrong, expired, or there are none for it.',
    fix: 'Log in to it (docker login REGISTRY), then repeat the command.',
  },
  MESH1203: {
    kind: 'access',
    title: 'the registry does not permit this',
    cause: 'The user is known, and may not read from or write to this repository.',
    fix: 'Ask who runs the registry for the permission, or name another path with --hub.',
  },
  MESH1204: {
    kind: 'failed',
    title: 'the image is not in the registry',
    cause: 'The registry answers, and has no such repository, tag or digest.',
    fix: 'Check --hub and --tag; `meshctl images push` puts the images of an archive there.',
  },
  MESH1205: {
    kind: 'failed',
    title: 'the content does not have its digest',
    cause: 'Bytes of an image were changed on the way or where they are stored. They were not used.',
    fix: 'Repeat the command; if it stays, the copy in the named place is damaged and has to be made anew.',
  },
  MESH1206: {
    kind: 'failed',
    title: 'the transfer was interrupted',
    cause:
      'The connection to the registry broke or stayed silent, and did so again each time the transfer went on.',
    fix: 'Repeat the command: what has arrived whole is not sent again, and no tag points at half an image.',
  },
  MESH1207: {
    kind: 'failed',
    title: 'the registry failed',
    cause: 'It answered with an error of its own, or not as the Distribution API says.',
    fix: 'Read its answer; try again later, or look at the log of the registry.',
  },
  MESH1208: {
    kind: 'failed',
    title: 'the disk is full',
    cause:
      'The archive does not fit into the free space of its file system; what there was of it is removed again.',
    fix: 'Free disk space or name a file elsewhere; --platform saves images of one platform only.',
  },
  MESH1209: {
    kind: 'failed',
    title: 'the image is not there for this platform',
    cause: 'It was built for other operating systems or processors.',
    fix: 'Name a platform that it has with --platform, or build the images for this one.',
  },
  MESH1210: {
    kind: 'access',
    title: 'the stored credentials of the registry cannot be used',
    cause:
      'The configuration of docker or podman (config.json, auth.json) is damaged, or the credential helper it names is missing or failed.',
    fix: 'Do what the message says; `docker login REGISTRY` writes the credentials anew.',
  },
  MESH1211: {
    kind: 'access',
    title: 'the certificate of the registry is not trusted',
    cause: 'It is signed by an authority this machine does not know, for another name, or out of its time.',
    fix: 'Give the authority with --ca-file; a registry without TLS needs --plain-http.',
  },
  MESH1212: {
    kind: 'failed',
    title: 'the archive cannot be written',
    cause: 'Its folder does not exist, may not be written to by this user, or is read-only.',
    fix: 'Name a file in a folder that this user may write to.',
  },
} as const satisfies Record<string, ErrorCode>;
