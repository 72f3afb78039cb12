import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTemplateFiles } from '#mesh/templates/files.js';
import {
  effectiveValues,
  givenValues,
  supportedValues,
  type ValuesRequest,
} from '#mesh/install/values/effective.js';
import { reversions } from '#mesh/install/values/reversions.js';
import { mergeValues, valueAt } from '#mesh/templates/values.js';

const files = readTemplateFiles();
const folder = mkdtempSync(join(tmpdir(), 'meshctl-values-'));
afterAll(() => rmSync(folder, { recursive: true }));

function effective(request: ValuesRequest, platform = '') {
  const given = givenValues(files, request);
  return effectiveValues(files, { given, platform, clientVersion: '9.9.9' }).spec;
}

function file(text: string): string {
  const path = join(folder, `${Math.random()}.yaml`);
  writeFileSync(path, text);
  return path;
}

describe('precedence', () => {
  it('is defaults, profile, platform, files, --set', () => {
    const at = ['values', 'cni', 'cniBinDir'];
    expect(valueAt(effective({}), at)).toBe('/opt/cni/bin');
    expect(valueAt(effective({}, 'gke'), at)).toBe('/home/kubernetes/bin');
    const path = file('values: { cni: { cniBinDir: /from/file } }');
    expect(valueAt(effective({ files: [path] }, 'gke'), at)).toBe('/from/file');
    const set = ['values.cni.cniBinDir=/from/set'];
    expect(valueAt(effective({ files: [path], set }, 'gke'), at)).toBe('/from/set');
  });

  it('takes the tag from --tag, --set, values.global, else the version', () => {
    expect(effective({})['tag']).toBe('9.9.9');
    expect(effective({ set: ['tag=1.0'] })['tag']).toBe('1.0');
    expect(effective({ set: ['values.global.tag=1.1', 'tag=1.0'] })['tag']).toBe('1.1');
    expect(effective({ tag: 'dev' })['tag']).toBe('dev');
  });

  it('chooses the profile named anywhere', () => {
    const hasAgents = (request: ValuesRequest): unknown =>
      valueAt(effective(request), ['components', 'cni', 'enabled']);
    expect(hasAgents({})).toBe(true);
    expect(hasAgents({ set: ['profile=minimal'] })).toBe(false);
    expect(hasAgents({ files: [file('profile: minimal')] })).toBe(false);
    expect(hasAgents({ files: [file('profile: minimal')], profile: 'ambient' })).toBe(true);
  });

  it('removes a default with null', () => {
    const spec = effective({ set: ['values.pilot.nodeSelector=null'] });
    expect(valueAt(spec, ['values', 'pilot', 'nodeSelector'])).toBeUndefined();
  });
});

it('takes the --set flags of an istioctl guide', () => {
  const spec = effective({
    set: [
      'profile=ambient',
      'meshConfig.enableTracing=true',
      'meshConfig.extensionProviders[0].name=otel-tracing',
      'meshConfig.extensionProviders[0].opentelemetry.service=otel-collector.observability.svc.cluster.local',
      'meshConfig.extensionProviders[0].opentelemetry.port=4317',
    ],
  });
  expect(spec['meshConfig']).toMatchObject({
    enableTracing: true,
    extensionProviders: [
      {
        name: 'otel-tracing',
        opentelemetry: { service: 'otel-collector.observability.svc.cluster.local', port: 4317 },
      },
    ],
  });
});

describe('files', () => {
  it('may be IstioOperator documents', () => {
    const path = file(`apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: { name: x }
spec:
  profile: minimal
  meshConfig: { accessLogFile: /dev/stdout }
  components:
    ingressGateways: [{ name: istio-ingressgateway, enabled: false }]
`);
    expect(effective({ files: [path] })['meshConfig']).toMatchObject({ accessLogFile: '/dev/stdout' });
  });

  it.each([
    ['a: [', 'not valid YAML'],
    ['- a', 'no map'],
    ['apiVersion: v1\nkind: Service', 'kind Service'],
    ['apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec: 3', 'spec is not a map'],
  ])('%j is refused', (text, why) => {
    expect(() => effective({ files: [file(text)] })).toThrow(why);
  });

  it('that are not there are refused', () => {
    expect(() => effective({ files: ['/nowhere.yaml'] })).toThrow('/nowhere.yaml');
  });
});

describe('schema', () => {
  it.each([
    ['values.pilto.env.A=x', 'values.pilto; did you mean values.pilot?'],
    ['pilot.env.A=x', 'pilot; did you mean values.pilot?'],
    ['meshConfig.enableTracin=true', 'did you mean meshConfig.enableTracing?'],
    ['meshConfig.enableTracing=maybe', 'meshConfig.enableTracing: "maybe" is not of type boolean'],
    ['values.pilot.replicaCount=two', 'not of type integer'],
    ['values.global.platform=gek', 'did you mean gke?'],
    ['meshConfig.waypointFailurePolicy=opn', 'did you mean open?'],
    ['values.cni.cniBinDir=relative', 'values.cni.cniBinDir'],
  ])('%s', (source, why) => {
    expect(() => effective({ set: [source] })).toThrow(expect.objectContaining({ code: 'MESH0302' }));
    expect(() => effective({ set: [source] })).toThrow(why);
  });

  it('names an unknown profile with a near miss', () => {
    expect(() => effective({ profile: 'ambinet' })).toThrow(
      expect.objectContaining({ code: 'MESH0300', hint: 'Did you mean ambient?' }),
    );
  });

  it('keeps numbers of text fields as text', () => {
    const spec = effective({ set: ['values.pilot.env.MAX=5', 'tag=1.20'] });
    expect(valueAt(spec, ['values', 'pilot', 'env', 'MAX'])).toBe('5');
    expect(spec['tag']).toBe('1.20');
  });

  it('accepts every default, profile and platform', () => {
    for (const name of ['ambient', 'minimal', 'empty']) {
      const { tag: _, ...rest } = effective({ profile: name });
      const path = file(JSON.stringify(rest));
      expect(() => givenValues(files, { files: [path] })).not.toThrow();
    }
  });
});

describe('what no component does', () => {
  function supported(set: readonly string[], platform = '', profile?: string) {
    const given = givenValues(files, { set, profile });
    return supportedValues(files, { given, platform, clientVersion: '9.9.9' });
  }

  it.each([
    ['meshConfig.outboundTrafficPolicy.mode=REGISTRY_ONLY', 'use a NetworkPolicy', 'at ALLOW_ANY.'],
    ['values.meshConfig.outboundTrafficPolicy.mode=REGISTRY_ONLY', 'use a NetworkPolicy', 'at ALLOW_ANY.'],
    ['meshConfig.discoverySelectors[0].matchLabels.a=b', 'every namespace', 'out.'],
    ['meshConfig.enableAutoMtls=false', 'always encrypted', 'at true.'],
    ['meshConfig.meshMTLS.minProtocolVersion=TLSV1_2', 'TLS 1.3', ''],
    ['values.pilot.autoscaleEnabled=true', 'HorizontalPodAutoscaler', 'at false.'],
    ['values.cni.ambient.dnsCapture=true', 'no DNS listener', 'at false.'],
    ['components.ingressGateways[0].enabled=true', 'Gateway objects', 'at false.'],
    ['revision=canary', 'one control plane', ''],
  ])('%s is refused with the way', (source, why, hint) => {
    const refusal = expect.objectContaining({
      code: 'MESH0316',
      message: expect.stringContaining(why),
      hint: expect.stringContaining(hint),
    });
    expect(() => supported([source])).toThrow(refusal);
  });

  it('is refused all at once, with the platform that brought it', () => {
    const set = ['meshConfig.enableAutoMtls=false', 'meshConfig.proxyListenPort=1'];
    const evidence = expect.stringMatching(
      /proxyListenPort=1 is not supported[^]*chained=false is not supported[^]*platform openshift/,
    );
    expect(() => supported(set, 'openshift')).toThrow(expect.objectContaining({ evidence }));
    expect(() => supported(['values.cni.chained=true'], 'openshift')).not.toThrow();
  });

  it('is told, when leaving it out is harmless', () => {
    const told = (...set: string[]) => supported(set).findings.map(({ message }) => message);
    expect(told()).toEqual([]);
    expect(told('meshConfig.enableTracing=false', 'meshConfig.accessLogFile=/dev/stdout')).toEqual([]);
    expect(
      told(
        'meshConfig.enableTracing=true',
        'meshConfig.accessLogFile=/var/log/x',
        'meshConfig.extensionProviders[0].name=otel',
        'values.pilot.env.PILOT_NO_SUCH=1',
        'meshConfig.defaultConfig.proxyMetadata.NOBODY=1',
        'meshConfig.defaultConfig.drainDuration=3s',
      ),
    ).toEqual([
      'meshConfig.defaultConfig.proxyMetadata.NOBODY=1 has no effect: the component reads no variable of this name',
      'meshConfig.defaultConfig.drainDuration=3s has no effect: this version does not know it',
      'meshConfig.enableTracing=true has no effect: no component sends traces in this version',
      'meshConfig.accessLogFile=/var/log/x has no effect: access logs go to standard output, and are always on',
      'meshConfig.extensionProviders has no effect: no component sends anything to extension providers in this version',
      'values.pilot.env.PILOT_NO_SUCH=1 has no effect: the component reads no variable of this name',
    ]);
  });

  it('does not concern components that are not installed', () => {
    const { findings } = supported(['values.cni.chained=false'], '', 'minimal');
    expect(findings.map(({ message }) => message)).toEqual([
      'values.cni has no effect: the component cni is not installed',
    ]);
  });
});

describe('mergeValues', () => {
  let merged: ReturnType<typeof mergeValues>;
  beforeAll(() => {
    merged = mergeValues({ a: { b: 1, c: 2 }, l: [1, 2], s: 1 }, { a: { b: 3 }, l: [9], s: { t: null } });
  });

  it('merges maps, replaces lists, drops nulls', () => {
    expect(merged).toEqual({ a: { b: 3, c: 2 }, l: [9], s: {} });
  });
});

describe('the log level', () => {
  const levelOf = (level: string) =>
    valueAt(effective({ set: [`values.global.logging.level=${level}`] }), [
      'values',
      'global',
      'logging',
      'level',
    ]);

  it.each([
    ['debug', 'debug'],
    ['default:debug', 'debug'],
    ['ads:debug\\,default:warn', 'warn,ads:debug'],
    ['ads:debug', 'info,ads:debug'],
  ])('%s is written as every component reads it', (given, expected) => {
    expect(levelOf(given)).toBe(expected);
  });
});

describe('reversions', () => {
  const next = (set: string[]) => {
    const given = givenValues(files, { set });
    return effectiveValues(files, { given, platform: '', clientVersion: '9.9.9' });
  };
  const earlier = {
    profile: 'minimal',
    tag: '1.0',
    values: { pilot: { env: { A: '1' } }, global: { logging: { level: 'info' } } },
  };

  it('are what was given before, is not given now, and becomes another', () => {
    expect(reversions(earlier, next(['values.pilot.env.A=2']))).toEqual([
      { path: 'profile', before: 'minimal', after: 'ambient' },
      { path: 'tag', before: '1.0', after: '9.9.9' },
    ]);
    expect(reversions(earlier, next(['profile=minimal', 'tag=1.0']))).toEqual([
      { path: 'values.pilot.env.A', before: '1', after: undefined },
    ]);
  });
});
