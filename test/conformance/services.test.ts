import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { KubeApiError } from '#base/kube/api-error.js';
import { services } from '#base/kube/resource.js';
import type { Service } from '#base/kube/types.js';
import { describeServers } from './servers.js';

interface ServiceCase {
  readonly title: string;
  /** The spec as created, then merge patches of it. */
  readonly steps: readonly [create: Service['spec'], ...patches: unknown[]];
  readonly outcomes: readonly string[];
}

// In this very shape.
const cases = parse(
  readFileSync(new URL('service-cases.yaml', import.meta.url), 'utf8'),
) as readonly ServiceCase[];
const namespace = 'default';
const ranges = '10.96.0.0/16,fd00:10:96::/112';

describeServers(
  'services get addresses, ports and families, and keep to them',
  (server) => {
    test.each(cases)('$title', async ({ title, steps: [create, ...patches], outcomes }) => {
      const { client } = server();
      const name = `c-${title.replaceAll(' ', '-')}`;
      const asked = JSON.stringify([create, ...patches]);
      const body = { apiVersion: 'v1', kind: 'Service', metadata: { name }, spec: create };
      const steps = [
        () => client.create<Service>(services, body, { namespace }),
        ...patches.map(
          (spec) => () => client.patch<Service>({ resource: services, name, namespace }, { spec }),
        ),
      ];
      const seen: string[] = [];
      try {
        for (const step of steps)
          seen.push(
            await step().then(
              ({ spec }) => summary(spec, asked),
              (error: unknown) => refusal(error, asked),
            ),
          );
      } finally {
        if (seen.some((each) => !/^\d/.test(each)))
          await client.delete({ resource: services, name, namespace });
      }
      expect(seen).toEqual(outcomes);
    });
  },
  { serviceCidr: ranges },
);

/** What a service became, in one line; what the server chose is only named by kind. */
function summary(spec: Service['spec'], asked: string): string {
  const { type, clusterIPs = [], ipFamilies = [], ipFamilyPolicy, ports = [], ...rest } = spec;
  const chosen = (port: number): string => (new RegExp(`:${port}[,}]`).test(asked) ? String(port) : 'any');
  const usual: Readonly<Record<string, unknown>> = {
    sessionAffinity: 'None',
    internalTrafficPolicy: 'Cluster',
  };
  const others = Object.entries({ ...rest })
    .filter(([key, value]) => key !== 'clusterIP' && usual[key] !== value)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => {
      if (key === 'healthCheckNodePort') return `${key}=${chosen(Number(value))}`;
      return `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`;
    });
  return [
    type,
    clusterIPs.map((ip) => addressOrKind(ip, asked)).join(','),
    ipFamilies.join(','),
    ipFamilyPolicy ?? '',
    ports
      .map(({ name, port, targetPort, protocol, nodePort, appProtocol }) =>
        [
          `${name === undefined ? '' : `${name}:`}${port}>${targetPort}/${protocol}`,
          nodePort === undefined ? '' : `@${chosen(nodePort)}`,
          appProtocol === undefined ? '' : ` ${appProtocol}`,
        ].join(''),
      )
      .join(' '),
    ...others,
  ]
    .filter((part) => part !== '')
    .join(' ');
}

function addressOrKind(ip: string, asked: string): string {
  if (ip === 'None' || asked.includes(`"${ip}"`)) return ip;
  return ip.includes(':') ? 'v6' : 'v4';
}

function refusal(error: unknown, asked: string): string {
  if (!(error instanceof KubeApiError)) throw error;
  return `${error.status} ${error.message.replace(/^Service "\S+" is invalid: /, '')}`.replaceAll(
    /"10\.96\.\d+\.\d+"/g,
    (ip) => (asked.includes(ip) ? ip : '"v4"'),
  );
}
