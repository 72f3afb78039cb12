// Puts in place what the two README commands need: npm packages, system packages,
// the build. Only Node's own modules: on a bare machine there is nothing else yet.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const nodeMin = [20, 18, 1];

/** Debian package -> what shows that it is there. */
const systemPackages = {
  iproute2: () => hasProgram('ip'),
  iptables: () => hasProgram('iptables-restore'),
  ipset: () => hasProgram('ipset'),
  bubblewrap: () => hasProgram('bwrap'),
  // It runs the CNI plugin on the nodes of a sandbox; any busybox does there.
  'busybox-static': () => hasProgram('busybox'),
  // The client in the sandbox's tool image.
  curl: () => hasProgram('curl'),
  'util-linux': () => hasProgram('unshare') && hasProgram('nsenter'),
  'containernetworking-plugins': () =>
    ['/usr/lib/cni', '/opt/cni/bin'].some(
      (dir) => existsSync(join(dir, 'ptp')) && existsSync(join(dir, 'host-local')),
    ),
};

/** What only the tests need: second opinions on what is on the wire and in images, a busybox that runs on an empty disk. */
const testPackages = {
  'busybox-static': () => isStatic('busybox'),
  tcpdump: () => hasProgram('tcpdump'),
  'docker-registry': () => hasProgram('docker-registry'),
  skopeo: () => hasProgram('skopeo'),
  umoci: () => hasProgram('umoci'),
};

/** Brings everything up to date; returns false after saying in one sentence what the user must do. */
export function prepare({ isForTests }) {
  const packages = isForTests ? { ...systemPackages, ...testPackages } : systemPackages;
  return checkNode() && installNpmPackages() && installSystemPackages(packages) && build();
}

function checkNode() {
  const have = process.versions.node.split('.').map(Number);
  for (let i = 0; i < nodeMin.length; i++) {
    if (have[i] > nodeMin[i]) return true;
    if (have[i] < nodeMin[i])
      return fail(`meshctl needs Node.js ${nodeMin.join('.')} or newer; this is ${process.versions.node}.`);
  }
  return true;
}

function installNpmPackages() {
  const installed = 'node_modules/.package-lock.json';
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync('package-lock.json').mtimeMs)
    return true;
  say('installing npm packages');
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  const result = spawnSync('npm', args, { stdio: ['ignore', 2, 2] });
  return result.status === 0 || fail('npm ci failed; its message is above.');
}

function installSystemPackages(packages) {
  const missing = Object.entries(packages)
    .filter(([, isThere]) => !isThere())
    .map(([name]) => name);
  if (missing.length === 0) return true;
  const isRoot = process.getuid?.() === 0;
  const command = `apt-get install -y --no-install-recommends ${missing.join(' ')}`;
  if (!hasProgram('apt-get')) {
    return fail(
      `These are missing: ${missing.join(', ')} (Debian names). Install them with this system's package manager, then run the command again.`,
    );
  }
  const canSudo =
    !isRoot && hasProgram('sudo') && spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0;
  if (!isRoot && !canSudo) {
    return fail(`System packages are missing and this user may not install them. Ask for: sudo ${command}`);
  }
  say(`installing system packages: ${missing.join(', ')}`);
  const sudo = canSudo ? ['sudo', '-n'] : [];
  const aptGet = (...args) => {
    const [program, ...rest] = [...sudo, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-q', ...args];
    return spawnSync(program, rest, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
  };
  let result = aptGet('install', '-y', '--no-install-recommends', ...missing);
  if (result.status !== 0) {
    // A fresh machine has no package lists, or old ones.
    aptGet('update');
    result = aptGet('install', '-y', '--no-install-recommends', ...missing);
  }
  if (result.status === 0) {
    // Tests start their own: nothing of ours listens on the machine.
    if (missing.includes('docker-registry') && hasProgram('systemctl'))
      spawnSync(
        [...sudo, 'systemctl'][0],
        [...sudo, 'systemctl', 'disable', '--now', 'docker-registry'].slice(1),
        {
          stdio: 'ignore',
        },
      );
    return true;
  }
  console.error(result.stderr.trim());
  return fail(`Installing system packages failed. Try: ${isRoot ? '' : 'sudo '}${command}`);
}

function build() {
  const steps = [
    { program: join('node_modules', '.bin', 'buf'), args: ['generate'] },
    { program: process.execPath, args: ['scripts/build.mjs'] },
  ];
  for (const { program, args } of steps) {
    const result = spawnSync(program, args, { stdio: ['ignore', 2, 2] });
    if (result.status !== 0) return fail(`the build failed at: ${program} ${args.join(' ')}`);
  }
  return true;
}

function hasProgram(name) {
  return findProgram(name) !== undefined;
}

function findProgram(name) {
  const path = `${process.env.PATH ?? ''}${delimiter}/usr/sbin${delimiter}/sbin`;
  const isThere = (file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  };
  return path
    .split(delimiter)
    .map((dir) => join(dir, name))
    .find(isThere);
}

/** Whether a program is there and names no loader at its beginning: it runs without any library. */
function isStatic(name) {
  const file = findProgram(name);
  return file !== undefined && !readFileSync(file).subarray(0, 4096).includes('/ld-');
}

/** Version of the project, for messages. */
export function version() {
  return JSON.parse(readFileSync('package.json', 'utf8')).version;
}

function say(text) {
  console.error(`* ${text}`);
}

function fail(text) {
  console.error(text);
  return false;
}
