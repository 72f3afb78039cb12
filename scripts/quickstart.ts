// npm run quickstart: a cluster on this machine, the mesh on it, and proof from the wire.
import { randomBytes } from 'node:crypto';
import chalk from 'chalk';
import { KubeClient } from '#base/kube/client.js';
import { captureBetweenNodes } from '../test/harness/capture.js';
import { applyFile, eventually, execIn, readyPods, waitForPods } from '../test/harness/cluster.js';
import { command, meshctl } from '../test/harness/meshctl.js';
import { type WireFacts, wireFacts } from '../test/harness/pcap.js';

const sandbox = 'quickstart';
const context = `sandbox-${sandbox}`;
const marker = `plaintext-marker-${randomBytes(4).toString('hex')}`;
const captureSeconds = 4;

/** Runs the whole show; resolves to 0 when every proof held. */
export async function main(): Promise<number> {
  const startedAt = Date.now();
  try {
    await show();
    say(`\n${chalk.dim(`done in ${((Date.now() - startedAt) / 1000).toFixed(0)} s`)}`);
    return 0;
  } catch (error) {
    say(
      `\n${chalk.red('The quickstart stopped:')} ${error instanceof Error ? error.message : String(error)}`,
    );
    say(`Look around: node bin/meshctl.js sandbox status --name ${sandbox}`);
    say(`Clean up:    node bin/meshctl.js sandbox down --name ${sandbox}`);
    return 1;
  }
}

async function show(): Promise<void> {
  title('1. A two-node cluster on this machine');
  await meshctl(['sandbox', 'down', '--name', sandbox]);
  await step(['sandbox', 'up', '--name', sandbox, '--nodes', '2']);
  const client = await KubeClient.fromKubeconfig({ context });

  title('2. A small shop: client, frontend (2 replicas), backend; and a client that stays outside the mesh');
  await applyFile(client, 'templates/demo/demo.yaml');
  await waitForDemo(client);
  say('   all pods are ready');

  title('3. Before the mesh: what a listener between the nodes can read');
  const before = await capture(client);
  report(before);
  must(before.readableSegments > 0, 'the capture before enrollment should show plaintext, and does not');

  title('4. Install the ambient profile, enroll the namespace');
  await step(['install', '--profile', 'ambient']);
  await step(['enroll', 'shop', '--wait']);

  title('5. After: the same requests, the same listener');
  const after = await capture(client);
  report(after);
  must(after.readableSegments === 0, 'plaintext was captured between the nodes after enrollment');
  must(after.tlsSegments > 0, 'no TLS records were captured on port 15008 after enrollment');
  must(after.otherSegments === 0, 'traffic between enrolled pods was captured outside of port 15008');
  say(`   ${chalk.green('nothing readable: every data packet between the nodes is TLS on port 15008')}`);
  const outside = await curl(client, 'outside', ['http://frontend.shop/']);
  must(
    outside.isOk,
    `the client outside the mesh should still reach the frontend (PERMISSIVE): ${outside.text}`,
  );
  say('   the client outside the mesh still gets its answer (PERMISSIVE mode)');

  title('6. What meshctl says of a frontend pod');
  const load = execIn(client, {
    namespace: 'shop',
    labelSelector: 'app=client',
    command: ['tool', 'load', 'http://frontend/', '--rate', '20', '--duration', '8', '--connections', '4'],
  });
  await step(['describe', 'pod', await frontendUnderLoad(client), '-n', 'shop']);
  await load;

  title('7. Layer 7: a waypoint, and a policy that lets the client only read');
  await step(['waypoint', 'apply', '-n', 'shop', '--enroll-namespace', '--wait']);
  await applyFile(client, 'templates/demo/frontend-viewer.yaml');
  const denied = await eventually(
    async () => {
      const answer = await curl(client, 'shop', ['-X', 'DELETE', 'http://frontend/']);
      must(answer.status === '403', `DELETE was answered ${answer.status} ${answer.text}`);
      return answer;
    },
    { timeoutMs: 15_000 },
  );
  const allowed = await curl(client, 'shop', ['http://frontend/']);
  must(allowed.status === '200', `GET was answered ${allowed.status} ${allowed.text}`);
  say(`   GET    http://frontend/  ->  ${chalk.green(allowed.status)}`);
  say(`   DELETE http://frontend/  ->  ${chalk.green(denied.status)}  ${denied.text}`);
  must(denied.text === 'RBAC: access denied', `the body of the refusal is ${JSON.stringify(denied.text)}`);

  title('8. Is everything as installed?');
  await step(['verify-install']);

  title('Yours now');
  const hasKubectl = (await command('sh', ['-c', 'command -v kubectl'])).exitCode === 0;
  say(
    `   kubeconfig   context ${chalk.bold(context)} in your kubeconfig; also: node bin/meshctl.js sandbox kubeconfig --name ${sandbox}`,
  );
  say(`   look around  node bin/meshctl.js --context ${context} describe namespace shop`);
  say(`                node bin/meshctl.js --context ${context} ztunnel-config connections`);
  if (hasKubectl) say(`                kubectl --context ${context} get pods -A -o wide`);
  say(`   stop         node bin/meshctl.js sandbox down --name ${sandbox}`);
}

async function waitForDemo(client: KubeClient): Promise<void> {
  const expected = [
    ['shop', 'app=client', 1],
    ['shop', 'app=frontend', 2],
    ['shop', 'app=backend', 1],
    ['outside', 'app=client', 1],
  ] as const;
  await Promise.all(
    expected.map(([namespace, labelSelector, count]) =>
      waitForPods(client, { namespace, labelSelector, count }),
    ),
  );
}

/** Captures between the nodes while the shop's client calls frontend and backend with a readable marker. */
async function capture(client: KubeClient): Promise<WireFacts> {
  const segments = await captureBetweenNodes({
    meshctl,
    sandbox,
    node: 'node-1',
    seconds: captureSeconds,
    during: async () => {
      for (const url of ['http://backend/', 'http://frontend/', 'http://frontend/', 'http://backend/']) {
        const answer = await curl(client, 'shop', ['-H', `x-secret: ${marker}`, url]);
        must(answer.isOk, `the client could not call ${url}: ${answer.text}`);
      }
    },
  });
  return wireFacts(segments, marker);
}

async function curl(
  client: KubeClient,
  namespace: string,
  args: readonly string[],
): Promise<{ isOk: boolean; status: string; text: string }> {
  const result = await execIn(client, {
    namespace,
    labelSelector: 'app=client',
    command: ['curl', '-sS', '-m', '5', '-w', '\n%{http_code}', ...args],
  });
  const lines = result.stdout.trimEnd().split('\n');
  const status = lines.pop() ?? '';
  return {
    isOk: result.exitCode === 0,
    status,
    text: result.exitCode === 0 ? lines.join('\n') : result.stderr.trim(),
  };
}

/** A frontend pod that is seen to speak mTLS right now; which replicas are busy is up to the load balancer. */
function frontendUnderLoad(client: KubeClient): Promise<string> {
  return eventually(
    async () => {
      for (const { metadata } of await readyPods(client, 'shop', 'app=frontend')) {
        const args = ['describe', 'pod', metadata.name, '-n', 'shop', '-o', 'json', '--context', context];
        const { verdict } = JSON.parse((await meshctl(args)).stdout) as { verdict?: string };
        if (verdict === 'mtls') return metadata.name;
      }
      throw new Error('no frontend pod is seen to speak mTLS');
    },
    { timeoutMs: 6_000 },
  );
}

/** Runs a meshctl command, showing it and what it prints as a user would see it. */
async function step(args: readonly string[]): Promise<void> {
  const isSandbox = args[0] === 'sandbox';
  say(`   ${chalk.bold('$')} meshctl ${args.join(' ')}`);
  const outcome = await meshctl([...args, ...(isSandbox ? [] : ['--context', context])], {
    env: chalk.level > 0 ? { FORCE_COLOR: '1', NO_COLOR: '' } : {},
    timeoutMs: 180_000,
  });
  const lines = `${outcome.stderr}${outcome.stdout}`.trimEnd().split('\n');
  // What is waited for meanwhile is of interest only while one waits.
  for (const line of lines.filter((l) => !l.startsWith('- '))) say(`     ${line}`);
  must(outcome.exitCode === 0, `meshctl ${args.join(' ')} ended with exit code ${outcome.exitCode}`);
}

function report(facts: WireFacts): void {
  say(`   data packets between pods on the wire: ${facts.dataSegments}`);
  const paint = facts.readableSegments > 0 ? chalk.red : chalk.green;
  say(`   with our marker readable in them:      ${paint(String(facts.readableSegments))}`);
  say(`   TLS records on port 15008 (HBONE):     ${facts.tlsSegments}`);
}

function must(condition: boolean, complaint: string): asserts condition {
  if (!condition) throw new Error(complaint);
}

function title(text: string): void {
  say(`\n${chalk.bold.cyan(text)}`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
