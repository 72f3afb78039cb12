import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { renderCrds } from '#mesh/templates/crds.js';
import { readTemplateFiles } from '#mesh/templates/files.js';
import { celErrors } from '#sandbox/apiserver/crd/cel-rules.js';
import { ruleErrors } from '#sandbox/apiserver/crd/rule-checks.js';
import { schemaFromOpenApi, withMetadata } from '#sandbox/apiserver/crd/crd-schema.js';
import { structuralErrors } from '#sandbox/apiserver/crd/structural-schema.js';
import {
  cloneJson,
  isObject,
  type Json,
  type JsonObject,
  objectOf,
  objectsOf,
  valueIn,
  stringOf,
  stringsOf,
} from '#sandbox/base/json.js';
import { applyDefaults } from '#sandbox/apiserver/schema/defaults.js';
import { prune } from '#sandbox/apiserver/schema/prune.js';
import type { Schema } from '#sandbox/apiserver/schema/schema.js';
import { validateSchema } from '#sandbox/apiserver/schema/validate.js';

const istio = ['v1!', 'v1beta1', 'v1alpha3'];

/** Versions in their order: `!` stored, `-` not served, which is for objects of earlier releases. */
const gatewayApi = ['v1!', 'v1beta1'];

/** Resource -> kind, short names, versions. */
const table: Record<string, [kind: string, short: string[], versions: string[]]> = {
  'destinationrules.networking.istio.io': ['DestinationRule', ['dr'], istio],
  'gateways.networking.istio.io': ['Gateway', ['gw'], istio],
  'serviceentries.networking.istio.io': ['ServiceEntry', ['se'], istio],
  'sidecars.networking.istio.io': ['Sidecar', [], istio],
  'virtualservices.networking.istio.io': ['VirtualService', ['vs'], istio],
  'workloadentries.networking.istio.io': ['WorkloadEntry', ['we'], istio],
  'workloadgroups.networking.istio.io': ['WorkloadGroup', ['wg'], istio],
  'envoyfilters.networking.istio.io': ['EnvoyFilter', [], ['v1alpha3!']],
  'proxyconfigs.networking.istio.io': ['ProxyConfig', [], ['v1beta1!']],
  'authorizationpolicies.security.istio.io': ['AuthorizationPolicy', ['ap'], ['v1!', 'v1beta1']],
  'peerauthentications.security.istio.io': ['PeerAuthentication', ['pa'], ['v1!', 'v1beta1']],
  'requestauthentications.security.istio.io': ['RequestAuthentication', ['ra'], ['v1!', 'v1beta1']],
  'telemetries.telemetry.istio.io': ['Telemetry', ['telemetry'], ['v1alpha1!', 'v1']],
  'wasmplugins.extensions.istio.io': ['WasmPlugin', [], ['v1alpha1!']],
  'trafficextensions.extensions.istio.io': ['TrafficExtension', [], ['v1alpha1!']],
  'backendtlspolicies.gateway.networking.k8s.io': ['BackendTLSPolicy', ['btlspolicy'], ['v1!', '-v1alpha3']],
  'gatewayclasses.gateway.networking.k8s.io': ['GatewayClass', ['gc'], gatewayApi],
  'gateways.gateway.networking.k8s.io': ['Gateway', ['gtw'], gatewayApi],
  'grpcroutes.gateway.networking.k8s.io': ['GRPCRoute', [], ['v1!']],
  'httproutes.gateway.networking.k8s.io': ['HTTPRoute', [], gatewayApi],
  'listenersets.gateway.networking.k8s.io': ['ListenerSet', ['lset'], ['v1!']],
  'referencegrants.gateway.networking.k8s.io': ['ReferenceGrant', ['refgrant'], ['v1', 'v1beta1!']],
  'tcproutes.gateway.networking.k8s.io': ['TCPRoute', [], ['v1!', '-v1alpha2']],
  'tlsroutes.gateway.networking.k8s.io': ['TLSRoute', [], ['v1!', '-v1alpha2', '-v1alpha3']],
  'udproutes.gateway.networking.k8s.io': ['UDPRoute', [], ['v1!', '-v1alpha2']],
};

interface Definition {
  readonly file: string;
  readonly crd: JsonObject;
  readonly spec: JsonObject;
  readonly versions: readonly JsonObject[];
}

const definitions: readonly Definition[] = renderCrds(readTemplateFiles()).map(({ where, document }) => {
  // Schemas that definitions share are one object; what is here must not be.
  const crd = objectOf(cloneJson(document as Json));
  const spec = objectOf(crd['spec']);
  return { file: where, crd, spec, versions: objectsOf(spec['versions']) };
});

function openApiOf(version: JsonObject): Json | undefined {
  return valueIn(version, 'schema', 'openAPIV3Schema');
}

function eachSchema(schema: Json | undefined, visit: (schema: JsonObject) => void): void {
  if (!isObject(schema)) return;
  visit(schema);
  for (const child of Object.values(objectOf(schema['properties']))) eachSchema(child, visit);
  for (const key of ['items', 'additionalProperties']) eachSchema(schema[key], visit);
}

function schemaOf(object: JsonObject): Schema {
  const [group, version] = stringOf(object['apiVersion']).split('/');
  const definition = definitions.find(
    ({ spec }) => spec['group'] === group && valueIn(spec, 'names', 'kind') === object['kind'],
  );
  const found = definition?.versions.find((v) => v['name'] === version);
  if (found === undefined)
    throw new Error(`no schema for ${stringOf(object['apiVersion'])} ${stringOf(object['kind'])}`);
  return withMetadata(schemaFromOpenApi(openApiOf(found)), { type: 'object', preservesUnknown: true });
}

/** What an API server finds wrong with an object, unknown fields first. */
function problemsOf(object: JsonObject): string[] {
  const schema = schemaOf(object);
  const admitted = cloneJson(object);
  const unknown = prune(admitted, schema, { isRoot: true }).map((path) => `unknown field ${path}`);
  applyDefaults(admitted, schema);
  const invalid = validateSchema(admitted, schema);
  const errors = invalid.length > 0 ? invalid : celErrors(admitted, undefined, schema);
  return [...unknown, ...errors.map((e) => `${e.field}: ${e.message}`)];
}

function samples(name: string): [title: string, object: JsonObject][] {
  const text = readFileSync(new URL(`./crd-samples/${name}.yaml`, import.meta.url), 'utf8');
  return parseAllDocuments(text).map((document) => {
    const object = objectOf(document.toJS() as Json);
    return [`${stringOf(object['kind'])} ${stringOf(valueIn(object, 'metadata', 'name'))}`, object];
  });
}

describe('the definitions', () => {
  it('are those of the table, each in a file named after it', () => {
    const found = Object.fromEntries(
      definitions.map(({ crd, spec, versions }) => [
        valueIn(crd, 'metadata', 'name'),
        [
          valueIn(spec, 'names', 'kind'),
          stringsOf(valueIn(spec, 'names', 'shortNames')),
          versions.map(
            (v) =>
              `${v['served'] === true ? '' : '-'}${stringOf(v['name'])}${v['storage'] === true ? '!' : ''}`,
          ),
        ],
      ]),
    );
    expect(found).toEqual(table);
    for (const { file, crd, spec } of definitions) {
      const plural = stringOf(valueIn(spec, 'names', 'plural'));
      expect(file).toMatch(new RegExp(`^(crds|gateway-api)/${plural}\\.yaml$`));
      expect(valueIn(crd, 'metadata', 'name')).toBe(`${plural}.${stringOf(spec['group'])}`);
    }
  });

  it('store one version, and show the age in all that are served', () => {
    for (const { versions } of definitions) {
      expect(versions.filter((v) => v['storage'] === true)).toHaveLength(1);
      for (const version of versions.filter((v) => v['served'] === true)) {
        expect(objectsOf(version['additionalPrinterColumns']).map((c) => c['name'])).toContain('Age');
      }
    }
  });

  it('have one schema for all served versions, as nothing converts between them', () => {
    for (const { versions } of definitions) {
      const served = versions.filter((v) => v['served'] === true);
      for (const version of served) expect(openApiOf(version)).toEqual(openApiOf(served[0] ?? {}));
    }
  });

  it('have a description of every field, but where a type says all', () => {
    for (const { file, versions } of definitions.filter((d) => d.file.startsWith('gateway-api/'))) {
      const { spec, status } = objectOf(valueIn(openApiOf(versions[0] ?? {}), 'properties'));
      for (const root of [spec, status]) {
        eachSchema(root, (schema) => {
          for (const [name, field] of Object.entries(objectOf(schema['properties']))) {
            expect([file, name, stringOf(objectOf(field)['description'])]).not.toEqual([file, name, '']);
          }
        });
      }
    }
  });

  it('say that a reserved group was described by somebody else', () => {
    for (const { crd, spec } of definitions.filter((d) => stringOf(d.spec['group']).endsWith('.k8s.io'))) {
      const approval = valueIn(crd, 'metadata', 'annotations', 'api-approved.kubernetes.io');
      expect([spec['group'], approval]).toEqual([spec['group'], expect.stringMatching(/^unapproved/)]);
    }
  });

  it.each(definitions.map((d) => [d.file, d] as const))('%s is structural', (_, { versions }) => {
    const schema = openApiOf(versions[0] ?? {});
    expect(structuralErrors(schema, 'schema')).toEqual([]);
    expect(ruleErrors(schemaFromOpenApi(schema), 'schema')).toEqual([]);
    eachSchema(schema, (s) => {
      for (const rule of objectsOf(s['x-kubernetes-validations'])) {
        expect(stringOf(rule['message'])).not.toBe('');
      }
      // An API server refuses a map list whose keys may be missing.
      const required = stringsOf(valueIn(s, 'items', 'required'));
      if (s['x-kubernetes-list-type'] === 'map') {
        expect(required).toEqual(expect.arrayContaining(stringsOf(s['x-kubernetes-list-map-keys'])));
      }
    });
  });
});

describe('schemas shared by definitions', () => {
  it('are all in use, and none is named that is not there', () => {
    const files = readTemplateFiles();
    const { 'gateway-api/shared.yaml': shared, ...others } = files;
    const names = Object.keys(objectOf(shared?.[0] as Json));
    const text = JSON.stringify([
      shared,
      Object.entries(others).filter(([file]) => file.startsWith('gateway-api/')),
    ]);
    expect(
      names.filter((name) => !text.includes(`{{ ${name} }}`) && !text.includes(`"$each":"${name}"`)),
    ).toEqual([]);
    expect(JSON.stringify(definitions.map((d) => d.crd))).not.toMatch(/\$merge|\$each|\{\{/);
  });
});

describe('objects', () => {
  it.each(samples('accepted'))('%s is accepted whole', (_, object) => {
    expect(problemsOf(object)).toEqual([]);
  });

  it.each(samples('refused'))('%s is refused with a reason', (_, object) => {
    const reason = stringOf(valueIn(object, 'metadata', 'annotations', 'refused-with'));
    expect(reason).not.toBe('');
    expect(problemsOf(object).join('\n')).toContain(reason);
  });

  it('get the defaults of the Gateway API', () => {
    const route: JsonObject = {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      spec: { parentRefs: [{ name: 'a' }], rules: [{ backendRefs: [{ name: 'b', port: 80 }] }] },
    };
    applyDefaults(route, schemaOf(route));
    expect(route['spec']).toEqual({
      parentRefs: [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'a' }],
      rules: [
        {
          matches: [{ path: { type: 'PathPrefix', value: '/' } }],
          backendRefs: [{ group: '', kind: 'Service', name: 'b', port: 80, weight: 1 }],
        },
      ],
    });
    const gateway: JsonObject = {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'Gateway',
      spec: {
        gatewayClassName: 'istio-waypoint',
        listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }],
      },
    };
    applyDefaults(gateway, schemaOf(gateway));
    expect(valueIn(gateway, 'spec', 'listeners')).toMatchObject([
      { allowedRoutes: { namespaces: { from: 'Same' } } },
    ]);
  });
});
