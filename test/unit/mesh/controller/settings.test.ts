import { expect, test } from 'vitest';
import { defaultMeshConfig, parseMeshConfig } from '#mesh/rules/mesh-config.js';
import { readSettings } from '#mesh/controller/settings.js';

test('upstream flags are taken or named as ignored, never refused', () => {
  const { settings, ignored } = readSettings(
    [
      'discovery',
      '--monitoringAddr=:9000',
      '--domain',
      'corp.local',
      '--keepaliveMaxServerConnectionAge',
      '30m',
      '--httpAddr=:1',
      '--caCertFile',
      'x',
      '--profile',
    ],
    { POD_NAMESPACE: 'mesh', CA_TRUSTED_NODE_ACCOUNTS: 'a/b,c/d' },
  );
  expect(settings).toMatchObject({
    systemNamespace: 'mesh',
    clusterDomain: 'corp.local',
    maxConnectionAgeMs: 1_800_000,
    ports: { monitoring: 9000, secureGrpc: 15012 },
  });
  expect([...settings.trustedNodeAccounts]).toEqual(['a/b', 'c/d']);
  expect(ignored).toEqual(['--httpAddr=:1', '--caCertFile', '--profile']);
});

test.each([
  [['--monitoringAddr=:none'], {}],
  [['--keepaliveMaxServerConnectionAge=soon'], {}],
  [[], { WAYPOINT_RESOURCES: '{' }],
])('refuses %j %j', (args, env) => {
  expect(() => readSettings(args, env)).toThrow(expect.objectContaining({ code: 'MESH0401' }));
});

const defaults = defaultMeshConfig('istio-system');

test('mesh options: known keys are read, others are somebody else’s', () => {
  expect(parseMeshConfig('', defaults)).toEqual(defaults);
  expect(
    parseMeshConfig(
      'trustDomain: corp\ntrustDomainAliases: [old.corp]\nwaypointFailurePolicy: open\nl7PolicyAtZtunnel: ignore\naccessLogFile: x\n',
      defaults,
    ),
  ).toEqual({
    trustDomain: 'corp',
    trustDomainAliases: ['old.corp'],
    rootNamespace: 'istio-system',
    waypointFailurePolicy: 'open',
    l7PolicyAtZtunnel: 'ignore',
  });
});

test.each([
  '- a',
  'x: [',
  'trustDomain: 3',
  'trustDomainAliases: old',
  'trustDomainAliases: [A_b]',
  'waypointFailurePolicy: maybe',
  'l7PolicyAtZtunnel: allow',
])('mesh options "%s" are refused', (text) => {
  expect(() => parseMeshConfig(text, defaults)).toThrow(expect.objectContaining({ code: 'MESH0401' }));
});
