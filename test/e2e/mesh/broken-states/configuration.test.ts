import { describe, expect, test } from 'vitest';
import { bank, curlFrom, deployBank, enrollNamespace, installMesh, sleep } from '../../../harness/bank.js';
import { useSandbox } from '../../../harness/sandbox.js';

/** Mistakes that configuration alone shows: made in a running mesh, named by one command, and gone when they are mended. */
const sandbox = useSandbox('configuration', async (s) => {
  await Promise.all([installMesh(s), deployBank(s.client)]);
  await enrollNamespace(s, bank);
});

interface BrokenState {
  readonly name: string;
  /** What breaks it, applied; deleting it is the repair. */
  readonly yaml?: string;
  /** What breaks it, as arguments of kubectl. */
  readonly broken?: readonly (readonly string[])[];
  /** What repairs `broken`. */
  readonly repaired?: readonly (readonly string[])[];
  readonly code: string;
  /** Words of the line that names the cause. */
  readonly says: readonly string[];
  /** A line below it: evidence or the command that repairs. */
  readonly below?: string;
  readonly severity: 'error' | 'warning';
}

const policy = (name: string, spec: string): string => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: ${bank} }
spec: ${spec}
`;
const gateway = (namespace: string, labels: string): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: wp, namespace: ${namespace}, labels: ${labels} }
spec:
  gatewayClassName: istio-waypoint
  listeners: [{ name: mesh, port: 15008, protocol: HBONE }]
`;
const label = (object: readonly string[], ...labels: readonly string[]): readonly string[] => [
  'label',
  ...object,
  '--overwrite',
  ...labels,
];
const frontend = ['service', 'frontend', '-n', bank];
const outside = ['namespace', 'outside'];

const states: readonly BrokenState[] = [
  {
    name: 'a policy that targets a Service which does not exist',
    yaml: policy(
      'at-nobody',
      '{ action: DENY, targetRefs: [{ group: "", kind: Service, name: frontent }], rules: [{}] }',
    ),
    code: 'MESH1121',
    says: [`AuthorizationPolicy ${bank}/at-nobody (DENY)`, `Service ${bank}/frontent does not exist`],
    severity: 'error',
  },
  {
    name: 'a policy that targets a Gateway which does not exist',
    yaml: policy(
      'at-gateway',
      '{ targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: wp }], rules: [{}] }',
    ),
    code: 'MESH1121',
    says: [`AuthorizationPolicy ${bank}/at-gateway (ALLOW)`, `Gateway ${bank}/wp does not exist`],
    severity: 'error',
  },
  {
    name: 'HTTP in a policy with a selector',
    yaml: policy(
      'http-by-selector',
      '{ selector: { matchLabels: { app: frontend } }, rules: [{ to: [{ operation: { methods: [GET] } }] }] }',
    ),
    code: 'MESH1130',
    says: [
      `AuthorizationPolicy ${bank}/http-by-selector (ALLOW)`,
      'every call to the pods it selects is refused',
    ],
    below: 'ztunnel cannot evaluate to.operation.methods',
    severity: 'error',
  },
  {
    name: 'a waypoint that does not exist',
    broken: [label(frontend, 'istio.io/use-waypoint=wp')],
    repaired: [label(frontend, 'istio.io/use-waypoint-')],
    code: 'MESH1110',
    says: [`Service ${bank}/frontend uses waypoint ${bank}/wp, which does not exist`],
    severity: 'error',
  },
  {
    name: 'a waypoint of another namespace that does not admit this one',
    yaml: gateway('outside', '{}'),
    broken: [label(frontend, 'istio.io/use-waypoint=wp', 'istio.io/use-waypoint-namespace=outside')],
    repaired: [label(frontend, 'istio.io/use-waypoint-', 'istio.io/use-waypoint-namespace-')],
    code: 'MESH1112',
    says: [`waypoint outside/wp does not admit namespace ${bank}`, `Service ${bank}/frontend`],
    below: 'its own namespace only',
    severity: 'error',
  },
  ...['workload', 'none'].map(
    (traffic): BrokenState => ({
      name: `a waypoint for ${traffic} traffic that a Service uses`,
      yaml: gateway(bank, `{ istio.io/waypoint-for: ${traffic} }`),
      broken: [label(frontend, 'istio.io/use-waypoint=wp')],
      repaired: [label(frontend, 'istio.io/use-waypoint-')],
      code: 'MESH1113',
      says: [`waypoint ${bank}/wp is for ${traffic} traffic`, `Service ${bank}/frontend`, 'go past it'],
      below: '--for all',
      severity: 'error',
    }),
  ),
  {
    name: 'a NetworkPolicy that admits the application and not the mesh',
    yaml: `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: only-8080, namespace: ${bank} }
spec:
  podSelector: { matchLabels: { app: frontend } }
  ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 8080 }] }]
`,
    code: 'MESH1140',
    says: [`NetworkPolicy ${bank}/only-8080 (ingress) admits port 8080 but not 15008`],
    below: `kubectl patch networkpolicy only-8080 -n ${bank}`,
    severity: 'error',
  },
  {
    name: 'a NetworkPolicy that lets pods call the application and not the mesh',
    yaml: `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: only-out, namespace: ${bank} }
spec:
  podSelector: { matchLabels: { app: sleep } }
  policyTypes: [Egress]
  egress: [{ to: [{ podSelector: {} }], ports: [{ port: 8080 }] }, { ports: [{ port: 53, protocol: UDP }] }]
`,
    code: 'MESH1140',
    says: [`NetworkPolicy ${bank}/only-out (egress) admits port 8080 but not 15008`],
    severity: 'error',
  },
  {
    name: 'the injector of a mesh that is gone',
    yaml: `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: { name: istio-sidecar-injector-old }
webhooks:
  - name: namespace.sidecar-injector.istio.io
    admissionReviewVersions: [v1]
    sideEffects: None
    failurePolicy: Fail
    namespaceSelector: { matchLabels: { istio-injection: enabled } }
    clientConfig: { service: { namespace: old-istio, name: istiod, path: /inject } }
    rules: [{ apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods] }]
`,
    code: 'MESH1150',
    says: [
      'MutatingWebhookConfiguration istio-sidecar-injector-old of Istio',
      'old-istio/istiod, which does not exist',
    ],
    below: 'kubectl delete mutatingwebhookconfiguration istio-sidecar-injector-old',
    severity: 'error',
  },
  {
    name: 'the validator of a mesh that is gone',
    yaml: `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: { name: linkerd-policy-validator-webhook-config }
webhooks:
  - name: linkerd-policy-validator.linkerd.io
    admissionReviewVersions: [v1]
    sideEffects: None
    failurePolicy: Ignore
    clientConfig: { service: { namespace: linkerd, name: linkerd-policy-validator } }
    rules: [{ apiGroups: [policy.linkerd.io], apiVersions: [v1], operations: [CREATE], resources: [servers] }]
`,
    code: 'MESH1150',
    says: ['ValidatingWebhookConfiguration linkerd-policy-validator-webhook-config of Linkerd', 'in vain'],
    severity: 'warning',
  },
  {
    name: 'a label of the mesh that is misspelled',
    broken: [label(outside, 'istio.io/dataplane_mode=ambient')],
    repaired: [label(outside, 'istio.io/dataplane_mode-')],
    code: 'MESH1101',
    says: ['Namespace outside: label istio.io/dataplane_mode', 'did you mean istio.io/dataplane-mode?'],
    below: 'kubectl label namespace outside istio.io/dataplane_mode- istio.io/dataplane-mode=ambient',
    severity: 'warning',
  },
  {
    name: 'a label with a value in the wrong case',
    broken: [label(outside, 'istio.io/dataplane-mode=Ambient')],
    repaired: [label(outside, 'istio.io/dataplane-mode-')],
    code: 'MESH1102',
    says: ['Namespace outside: label istio.io/dataplane-mode=Ambient', 'did you mean ambient?'],
    severity: 'warning',
  },
  {
    name: 'a label that is written as an annotation',
    broken: [['annotate', ...outside, 'istio.io/dataplane-mode=ambient']],
    repaired: [['annotate', ...outside, 'istio.io/dataplane-mode-']],
    code: 'MESH1103',
    says: ['Namespace outside: istio.io/dataplane-mode is an annotation here'],
    severity: 'warning',
  },
  {
    name: 'sidecars and ambient mode asked for at once',
    broken: [label(['namespace', bank], 'istio-injection=enabled')],
    repaired: [label(['namespace', bank], 'istio-injection-')],
    code: 'MESH1104',
    says: [`Namespace ${bank} asks for sidecars (istio-injection=enabled) and for ambient mode`],
    below: `kubectl label namespace ${bank} istio-injection-`,
    severity: 'warning',
  },
  {
    name: 'a Service whose selector selects nobody',
    yaml: `
apiVersion: v1
kind: Service
metadata: { name: lost, namespace: ${bank} }
spec: { selector: { app: fronted }, ports: [{ port: 80, name: http }] }
`,
    code: 'MESH1160',
    says: [`Service ${bank}/lost has no endpoints`, 'app=fronted'],
    below: 'pods have app=frontend',
    severity: 'warning',
  },
  {
    name: 'a route to a Service that does not exist',
    yaml: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: to-nobody, namespace: ${bank} }
spec:
  parentRefs: [{ group: "", kind: Service, name: frontend, port: 80 }]
  rules: [{ backendRefs: [{ name: frontend-v2, port: 80 }] }]
`,
    code: 'MESH1172',
    says: [`HTTPRoute ${bank}/to-nobody`, `Service ${bank}/frontend-v2, which does not exist`],
    severity: 'error',
  },
];

const analyze = () => sandbox().meshctl(['analyze', '-A']);

async function kubectl(args: readonly string[], input?: string): Promise<void> {
  const outcome = await sandbox().kubectl(args, input === undefined ? {} : { input });
  expect(outcome.exitCode, `kubectl ${args.join(' ')}: ${outcome.stderr}`).toBe(0);
}

/** Asserts that one command names the cause of a state, with its exit code. */
async function expectNamed({ code, says, below, severity }: BrokenState): Promise<void> {
  const { stdout, stderr, exitCode } = await analyze();
  const lines = stdout.split('\n');
  const at = lines.findIndex((line) => line.startsWith(`${severity} ${code} `));
  expect(at, `${stdout}${stderr}`).toBeGreaterThan(0);
  for (const words of says) expect(lines[at]).toContain(words);
  if (below !== undefined) expect(lines.slice(at + 1).join('\n')).toContain(below);
  expect(exitCode).toBe(severity === 'error' ? 1 : 0);
}

async function expectSilent(code: string): Promise<void> {
  const { stdout, exitCode } = await analyze();
  expect(stdout).not.toContain(code);
  expect(exitCode, stdout).toBe(0);
}

describe('analyze', () => {
  test('finds nothing wrong in a mesh that is as it should be', async () => {
    const { stdout, exitCode } = await sandbox().meshctl(['analyze', '-A', '--fail-on', 'warning']);
    expect(exitCode, stdout).toBe(0);
  });

  test('names a DENY policy on a Service without a waypoint, whose calls are answered', async () => {
    const deny = policy(
      'deny-frontend',
      '{ action: DENY, targetRefs: [{ group: "", kind: Service, name: frontend }], rules: [{}] }',
    );
    await kubectl(['apply', '-f', '-'], deny);
    await expectNamed({
      name: '',
      code: 'MESH1120',
      says: [`AuthorizationPolicy ${bank}/deny-frontend (DENY) is enforced by nobody at Service frontend`],
      below: `meshctl waypoint apply -n ${bank}`,
      severity: 'error',
    });
    expect(await curlFrom(sandbox().client, sleep, `http://frontend.${bank}/`)).toMatchObject({
      status: 200,
    });
    await kubectl(['delete', '-f', '-'], deny);
    await expectSilent('MESH1120');
  });

  test('precheck names webhooks of a mesh that is gone', async () => {
    const state = states.find(({ code }) => code === 'MESH1150');
    const yaml = state?.yaml ?? '';
    await kubectl(['apply', '-f', '-'], yaml);
    const broken = await sandbox().meshctl(['precheck']);
    expect(broken.stdout).toContain('MutatingWebhookConfiguration istio-sidecar-injector-old of Istio');
    expect(broken.exitCode).toBe(1);
    await kubectl(['delete', '-f', '-'], yaml);
    expect((await sandbox().meshctl(['precheck'])).stdout).not.toContain('istio-sidecar-injector-old');
  });

  test('names a NetworkPolicy that admits the callers and not the waypoint between', async () => {
    const { meshctl } = sandbox();
    const applied = await meshctl(['waypoint', 'apply', '-n', bank, '--enroll-namespace', '--wait']);
    expect(applied.exitCode, applied.stderr).toBe(0);
    const only = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: only-callers, namespace: ${bank} }
spec:
  podSelector: { matchLabels: { app: frontend } }
  ingress:
    - from: [{ podSelector: { matchLabels: { app: sleep } } }]
      ports: [{ port: 8080 }, { port: 15008 }]
`;
    await kubectl(['apply', '-f', '-'], only);
    await expectNamed({
      name: '',
      code: 'MESH1144',
      says: [
        `NetworkPolicy ${bank}/only-callers does not admit waypoint ${bank}/waypoint`,
        `Service ${bank}/frontend`,
      ],
      below: 'gateway.networking.k8s.io/gateway-name=waypoint',
      severity: 'error',
    });
    await kubectl(['delete', '-f', '-'], only);
    await expectSilent('MESH1144');
    const removed = await meshctl(['waypoint', 'delete', 'waypoint', '-n', bank, '--detach', '-y']);
    expect(removed.exitCode, removed.stderr).toBe(0);
    await expectSilent('MESH1110');
  });

  test.each(states)('names $name', async (state) => {
    const { yaml, broken = [], repaired = [], code } = state;
    if (yaml !== undefined) await kubectl(['apply', '-f', '-'], yaml);
    for (const args of broken) await kubectl(args);
    await expectNamed(state);
    for (const args of repaired) await kubectl(args);
    if (yaml !== undefined) await kubectl(['delete', '-f', '-'], yaml);
    await expectSilent(code);
  });

  test('says what files would break before they are applied', async () => {
    const file = policy(
      'from-file',
      '{ action: DENY, targetRefs: [{ group: "", kind: Service, name: frontend }], rules: [{}] }',
    );
    const { stdout, exitCode } = await sandbox().meshctl(['analyze', '-f', '-'], { input: file });
    expect(stdout).toContain(
      `error MESH1120 AuthorizationPolicy ${bank}/from-file (DENY) is enforced by nobody`,
    );
    expect(stdout).toContain('(stdin:2)');
    expect(exitCode).toBe(1);
  });
});
