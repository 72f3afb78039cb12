import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { KubeObject } from '#base/kube/types.js';
import { renderCrds } from '#mesh/templates/crds.js';
import { renderInstallation } from '#mesh/install/render/installation.js';
import { mapIn, readTemplateFiles } from '#mesh/templates/files.js';
import { effectiveValues, supportedValues } from '#mesh/install/values/effective.js';
import { platformNames, profileNames } from '#mesh/install/values/profile.js';
import { assign, parseAssignment } from '#mesh/install/values/set-path.js';
import type { ValueMap } from '#mesh/templates/values.js';
import { defaultMeshConfig, parseMeshConfig } from '#mesh/rules/mesh-config.js';
import { supportAt } from '#mesh/rules/support/assess.js';
import {
  agentEnvironment,
  controllerEnvironment,
  nodeProxyEnvironment,
} from '#mesh/rules/support/environment.js';
import { gatewayApiKinds } from '#mesh/rules/support/gateway-api-kinds.js';
import { istioKinds } from '#mesh/rules/support/istio-kinds.js';
import { meshOptionSupport } from '#mesh/rules/support/mesh-options.js';
import type { KindSupport, SupportTable } from '#mesh/rules/support/support.js';
import { valueSupport } from '#mesh/rules/support/values.js';

const files = readTemplateFiles();
const options = { platform: '', clientVersion: '9.9.9' };

/** The part of JSON schema that values.schema.yaml and CRDs use. */
interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly $ref?: string;
}

/** Every property that has none below it, as the tables write paths. */
function leaves(schema: Schema, path: string, definitions: Readonly<Record<string, Schema>> = {}): string[] {
  const resolved =
    schema.$ref === undefined ? schema : definitions[schema.$ref.replace('#/definitions/', '')];
  if (resolved === undefined) throw new Error(`${path}: ${schema.$ref} is not defined`);
  const { properties = {}, additionalProperties, items } = resolved;
  const below = [
    ...Object.entries(properties).map(([name, s]) => [path === '' ? name : `${path}.${name}`, s] as const),
    ...(typeof additionalProperties === 'object' ? [[`${path}.*`, additionalProperties] as const] : []),
    ...(items === undefined ? [] : [[`${path}[]`, items] as const]),
  ];
  return below.length === 0 ? [path] : below.flatMap(([at, s]) => leaves(s, at, definitions));
}

function unlisted(table: SupportTable, paths: readonly string[]): string[] {
  return paths.filter((path) => supportAt(table, path) === undefined);
}

/** Rows about nothing: no property has their path, stands below it, or holds it in a free-form map. */
function stale(table: SupportTable, paths: readonly string[]): string[] {
  const isAbout = (row: string, path: string): boolean =>
    path === row ||
    path.startsWith(`${row}.`) ||
    path.startsWith(`${row}[`) ||
    (path.endsWith('.*') && row.startsWith(path.slice(0, -1)));
  return Object.keys(table).filter((row) => !paths.some((path) => isAbout(row, path)));
}

describe('values', () => {
  const schema = mapIn(files, 'values.schema.yaml') as unknown as Schema & {
    definitions: Record<string, Schema>;
  };
  const paths = leaves(schema, '', schema.definitions);

  it('are all in the table, and the table has no others', () => {
    expect(paths.length).toBeGreaterThan(100);
    expect(unlisted(valueSupport, paths)).toEqual([]);
    expect(stale(valueSupport, paths)).toEqual([]);
  });

  it('that are honored are read by a template, or laid over one that is', () => {
    const text = JSON.stringify(
      Object.entries(files).filter(([name]) => !/^(values|profiles|platforms|crds|gateway-api)/.test(name)),
    );
    const isRead = (path: string): boolean => new RegExp(`\\b${path.replaceAll('.', '\\.')}\\b`).test(text);
    const laidOver = ['profile', 'values.meshConfig', 'values.global.hub', 'values.global.tag'];
    const computed: Readonly<Record<string, string>> = {
      hub: 'images.controller',
      'values.pilot.image': 'images.controller',
      'values.cni.image': 'images.cni',
      'values.ztunnel.image': 'images.ztunnel',
      'values.global.proxy.image': 'images.waypoint',
      'values.global.imagePullSecrets': 'pullSecrets',
      'values.global.network': 'networkLabels',
      'values.global.logAsJson': 'logFormat',
    };
    const unread = Object.entries(valueSupport)
      .filter(
        ([path, row]) => row.treatment === 'honored' && !/^(meshConfig|components)\.|\.env\./.test(path),
      )
      .map(([path]) => path.replace(/(\[\])?(\.\*)?$/, ''))
      .filter((path) => !laidOver.includes(path) && !isRead(computed[path] ?? path));
    expect(unread).toEqual([]);
  });

  it.each(profileNames(files))('of profile %s ask for nothing in vain', (profile) => {
    expect(supportedValues(files, { ...options, given: { profile } }).findings).toEqual([]);
  });

  it.each(platformNames(files).filter((name) => name !== 'openshift'))(
    'of platform %s ask for nothing in vain',
    (platform) => {
      expect(supportedValues(files, { ...options, platform, given: {} }).findings).toEqual([]);
    },
  );
});

describe('mesh options', () => {
  /** A value of each honored option that is not its default. */
  const samples: Readonly<Record<string, string>> = {
    trustDomain: 'td2.example',
    trustDomainAliases: '["td2.example"]',
    rootNamespace: 'mesh-root',
    waypointFailurePolicy: 'open',
    l7PolicyAtZtunnel: 'ignore',
    'defaultConfig.proxyMetadata': '{"SECRET_TTL":"2h"}',
  };
  const honored = Object.entries(meshOptionSupport).filter(([, row]) => row.treatment === 'honored');
  const given = (path: string, text: string): ValueMap => {
    const value = /^[[{]/.test(text) ? (JSON.parse(text) as ValueMap) : text;
    const assignment = { ...parseAssignment(`${path}=`, { isString: true }), value };
    return { meshConfig: assign({}, assignment) };
  };
  const workloads = (values: ValueMap): string => {
    const effective = effectiveValues(files, { ...options, given: values });
    return JSON.stringify(
      renderInstallation(files, effective, { namespace: 'istio-system', clientVersion: '9.9.9' })
        .map((p) => p.object)
        .filter((o: KubeObject) => o.kind === 'DaemonSet' || o.kind === 'Deployment'),
    );
  };

  it.each(honored)('%s is honored: what runs is told', (path, row) => {
    const sample = samples[path];
    if (sample === undefined) throw new Error(`no sample of ${path}`);
    const values = given(path, sample);
    const defaults = defaultMeshConfig('istio-system');
    const isReadLive =
      JSON.stringify(parseMeshConfig(JSON.stringify(values['meshConfig']), defaults)) !==
      JSON.stringify(defaults);
    const isRolledOut = workloads(values) !== workloads({});
    expect({ isReadLive, isRolledOut }).toEqual(
      row.takenUp === 'live' ? { isReadLive: true, isRolledOut: false } : { isReadLive, isRolledOut: true },
    );
  });

  it('that are not honored change nothing that runs', () => {
    const others = Object.entries(meshOptionSupport).filter(([, row]) => row.treatment !== 'honored');
    expect(others.length).toBeGreaterThan(30);
    const changing = others.filter(([path]) => workloads(given(path, 'x')) !== workloads({}));
    expect(changing.map(([path]) => path)).toEqual([]);
  });
});

describe('environment', () => {
  const names = (source: readonly string[]): string[] => {
    const text = source.map((file) => readFileSync(file, 'utf8')).join('\n');
    const quoted = [...text.matchAll(/['"]([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)['"]/g)].map(
      ([, name]) => name ?? '',
    );
    const keys = [...text.matchAll(/^ {2}([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+): /gm)].map(([, name]) => name ?? '');
    const direct = [...text.matchAll(/env\[['"]([A-Z]\w*)['"]\]/g)].map(([, name]) => name ?? '');
    return [...new Set([...quoted, ...keys, ...direct])];
  };
  /** Listed without being quoted in full: put together from parts, or read by libraries. */
  const others = [
    'NODE_OPTIONS',
    'NODE_EXTRA_CA_CERTS',
    'UV_THREADPOOL_SIZE',
    'LOG_FORMAT',
    'RUST_LOG',
    'ALT_CA_HOSTNAME',
    'ALT_XDS_HOSTNAME',
    'CA_ROOT_CA',
    'XDS_ROOT_CA',
    'CA_HEADER_*',
    'XDS_HEADER_*',
  ];
  it.each([
    ['controller', ['src/mesh/controller/settings.ts'], controllerEnvironment],
    ['CNI agent', ['src/mesh/cni/config.ts', 'src/mesh/rules/enrollment-config.ts'], agentEnvironment],
    ['node proxy', ['src/mesh/ztunnel/config.ts', 'src/mesh/rules/trust-domain.ts'], nodeProxyEnvironment],
  ])('of the %s is what it reads', (_, source, table) => {
    const honoredNames = Object.entries(table)
      .filter(([, row]) => row.treatment === 'honored')
      .map(([name]) => name);
    const read = names(source).filter(
      (name) => !/^(ISTIO_META|ISTIO_METAJSON|CA|XDS)(_HEADER)?_$/.test(name),
    );
    expect(honoredNames.filter((name) => !others.includes(name) && !read.includes(name))).toEqual([]);
    expect(read.filter((name) => !honoredNames.includes(name))).toEqual([]);
  });
});

describe('kinds', () => {
  interface Crd {
    readonly spec: {
      readonly group: string;
      readonly names: { readonly kind: string; readonly plural: string };
      readonly versions: readonly {
        readonly name: string;
        readonly schema: { readonly openAPIV3Schema: Schema };
      }[];
    };
  }
  const kinds: readonly KindSupport[] = [...istioKinds, ...gatewayApiKinds];
  const crds = renderCrds(files).map(({ document }) => document as unknown as Crd);

  it('that are installed are all in the table', () => {
    expect(crds.length).toBeGreaterThan(15);
    const missing = crds.filter(
      ({ spec }) =>
        !kinds.some(
          ({ resource: { group, kind, plural } }) =>
            group === spec.group && kind === spec.names.kind && plural === spec.names.plural,
        ),
    );
    expect(missing.map(({ spec }) => `${spec.names.kind}.${spec.group}`)).toEqual([]);
  });

  const withFields = kinds.filter((kind) => kind.fields !== undefined);
  it.each(withFields)(
    '$resource.kind: every field of every version is in the table',
    ({ resource: { group, kind }, fields = {} }) => {
      const crd = crds.find(({ spec }) => spec.group === group && spec.names.kind === kind);
      const all = (crd?.spec.versions ?? []).flatMap(({ schema }) => {
        const spec = schema.openAPIV3Schema.properties?.['spec'];
        return spec === undefined ? [] : leaves(spec, '');
      });
      expect(all.length).toBeGreaterThan(0);
      expect(unlisted(fields, [...new Set(all)])).toEqual([]);
    },
  );

  it('that are honored are those with fields', () => {
    expect(kinds.filter((k) => k.treatment === 'honored')).toEqual(withFields);
  });
});
