import { readFileSync } from 'node:fs';
import type { ImageDefinition, PackageUse } from './image-list.js';
import { type Architecture, type ImageLock, nodeArchitectures } from './lock.js';

/** What an image of one platform was made of, as far as its documents tell. */
export interface Ingredients {
  readonly image: ImageDefinition;
  readonly architecture: Architecture;
  readonly version: string;
  readonly lock: ImageLock;
  readonly debian: readonly PackageUse[];
  readonly npm: readonly string[];
  /** Of the manifest. */
  readonly digest: string;
}

/** A part that is not our own. */
interface Component {
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly digest?: { readonly algorithm: 'sha256' | 'sha512'; readonly hex: string };
  readonly license?: string;
}

const project = 'meshctl';
/** Documents about the same image are the same: they have no date. */
const epoch = '1970-01-01T00:00:00Z';
const statementType = 'https://in-toto.io/Statement/v1';
export const predicateTypes = {
  spdx: 'https://spdx.dev/Document',
  provenance: 'https://slsa.dev/provenance/v1',
} as const;

/** In-toto statement with the SBOM (SPDX 2.3) of an image. */
export function sbomStatement(of: Ingredients): object {
  const packages = componentsOf(of).map((c) => ({
    SPDXID: `SPDXRef-${c.purl.replaceAll(/[^A-Za-z0-9.-]+/g, '-')}`,
    name: c.name,
    versionInfo: c.version,
    downloadLocation: 'NOASSERTION',
    filesAnalyzed: false,
    licenseDeclared: c.license ?? 'NOASSERTION',
    ...(c.digest === undefined
      ? {}
      : { checksums: [{ algorithm: c.digest.algorithm.toUpperCase(), checksumValue: c.digest.hex }] }),
    externalRefs: [{ referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator: c.purl }],
  }));
  const root = 'SPDXRef-image';
  const name = `${project}/${of.image.name}`;
  return statement(of, predicateTypes.spdx, {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name: `${name}:${of.version}`,
    documentNamespace: `urn:${project}:sbom:${of.digest}`,
    creationInfo: { created: epoch, creators: [`Tool: ${project}-${of.version}`] },
    packages: [
      {
        SPDXID: root,
        name,
        versionInfo: of.version,
        downloadLocation: 'NOASSERTION',
        filesAnalyzed: false,
        licenseDeclared: 'Apache-2.0',
        primaryPackagePurpose: 'CONTAINER',
      },
      ...packages,
    ],
    relationships: [
      { spdxElementId: 'SPDXRef-DOCUMENT', relationshipType: 'DESCRIBES', relatedSpdxElement: root },
      ...packages.map(({ SPDXID }) => ({
        spdxElementId: root,
        relationshipType: 'CONTAINS',
        relatedSpdxElement: SPDXID,
      })),
    ],
  });
}

/** In-toto statement with how an image was built (SLSA provenance 1). */
export function provenanceStatement(of: Ingredients): object {
  return statement(of, predicateTypes.provenance, {
    buildDefinition: {
      buildType: `urn:${project}:images:v1`,
      externalParameters: { image: of.image.name, platform: `linux/${of.architecture}`, version: of.version },
      // gzip's output depends on the zlib of the Node.js that built.
      internalParameters: { zlib: process.versions.zlib },
      resolvedDependencies: componentsOf(of).map(({ purl, digest }) => ({
        uri: purl,
        ...(digest === undefined ? {} : { digest: { [digest.algorithm]: digest.hex } }),
      })),
    },
    runDetails: { builder: { id: `urn:${project}:npm-run-images` } },
  });
}

function statement(of: Ingredients, predicateType: string, predicate: object): object {
  const [algorithm = '', hex = ''] = of.digest.split(':');
  const name = `pkg:docker/${project}/${of.image.name}@${of.version}?platform=linux%2F${of.architecture}`;
  return {
    _type: statementType,
    subject: [{ name, digest: { [algorithm]: hex } }],
    predicateType,
    predicate,
  };
}

interface LockedModule {
  readonly version?: string;
  readonly integrity?: string;
  readonly license?: string;
}

function componentsOf({ architecture, lock, debian, npm }: Ingredients): Component[] {
  const modules = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Readonly<Record<string, LockedModule>>;
  };
  const node = `node-linux-${nodeArchitectures[architecture]}`;
  const ofDebian = debian.map(({ name }): Component => {
    const { version = '', sha256 = '' } = lock.packages[architecture][name] ?? {};
    const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${architecture}&distro=${lock.debian}`;
    return { name, version, purl, digest: { algorithm: 'sha256', hex: sha256 } };
  });
  const ofNpm = [node, ...npm].map((name): Component => {
    const module: LockedModule = { ...modules.packages[`node_modules/${name}`], ...lock.npm[name] };
    const { version = '', integrity, license } = module;
    const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
    const [, base64] = /^sha512-(.+)$/.exec(integrity ?? '') ?? [];
    return {
      name,
      version,
      purl,
      ...(license === undefined ? {} : { license }),
      ...(base64 === undefined
        ? {}
        : { digest: { algorithm: 'sha512', hex: Buffer.from(base64, 'base64').toString('hex') } }),
    };
  });
  return [...ofDebian, ...ofNpm];
}
