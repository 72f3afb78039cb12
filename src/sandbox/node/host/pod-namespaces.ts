import { randomUUID } from 'node:crypto';
import type { NodeHost } from './node-host.js';

/** Network namespaces are where every CNI tool looks for them; the rest of a pod is beside. */
const netnsFolder = '/var/run/netns';
const sharedFolder = '/run/podns';
/** Container runtimes' default size of /dev/shm. */
const sharedMemoryBytes = 64 * 1024 * 1024;

/** What the containers of one pod share, held by mounts on the node. Paths are the node's; absent: the node's own. */
export interface PodNamespaces {
  readonly net: string | undefined;
  readonly ipc: string | undefined;
  readonly uts: string | undefined;
  /** Folder of the mounts. */
  readonly folder: string;
  /** A memory file system for /dev/shm. */
  readonly sharedMemory: string;
}

export interface PodNamespaceOptions {
  /** undefined: the pod uses the node's network and name (hostNetwork). */
  readonly hostname: string | undefined;
  /** False: the pod uses the node's (hostIPC). */
  readonly hasOwnIpc: boolean;
  /** `name=value`, written inside the new namespaces. */
  readonly sysctls: readonly string[];
}

/**
 * Set in every pod network. rp_filter: replies to translated addresses take another way
 * back; unprivileged ports and ping: containers run without file capabilities, and
 * container runtimes open these to everybody too. accept_dad, in the script because not
 * every kernel has IPv6: looking for another owner of an address would take a second.
 */
const networkSysctls = [
  'net.ipv4.conf.all.rp_filter=0',
  'net.ipv4.conf.default.rp_filter=0',
  'net.ipv4.ip_unprivileged_port_start=0',
  'net.ipv4.ping_group_range=0 0',
];

/** Arguments: folder, netns file or nothing, `ipc` or nothing, size of shared memory, host name, sysctls as `path=value`. */
const createScript = `set -e
dir=$1; net=$2; ipc=$3; size=$4; name=$5; shift 5
mkdir -p "$dir/shm"
mount -t tmpfs -o "size=$size,mode=1777,nosuid,nodev" shm "$dir/shm"
flags=
if [ -n "$net" ]; then mkdir -p ${netnsFolder}; touch "$net" "$dir/uts"; flags="--net=$net --uts=$dir/uts"; fi
if [ -n "$ipc" ]; then touch "$dir/ipc"; flags="$flags --ipc=$dir/ipc"; fi
unshare $flags sh -c 'if [ -n "$1" ]; then hostname "$1"; ip link set lo up; { echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad; } 2>/dev/null || :; fi; shift
for s in "$@"; do echo "\${s#*=}" > "/proc/sys/\${s%%=*}" || exit 1; done' sh "$name" "$@"`;

const removeScript =
  'for m in "$1" "$2/uts" "$2/ipc" "$2/shm"; do [ -z "$m" ] || umount -l "$m"; done 2>/dev/null; rm -rf ${1:+"$1"} "$2"';

/** Creates the namespaces of a pod and brings its loopback up. */
export async function createPodNamespaces(host: NodeHost, o: PodNamespaceOptions): Promise<PodNamespaces> {
  const id = `cni-${randomUUID()}`;
  const folder = `${sharedFolder}/${id}`;
  const hasNetwork = o.hostname !== undefined;
  const namespaces: PodNamespaces = {
    net: hasNetwork ? `${netnsFolder}/${id}` : undefined,
    ipc: o.hasOwnIpc ? `${folder}/ipc` : undefined,
    uts: hasNetwork ? `${folder}/uts` : undefined,
    folder,
    sharedMemory: `${folder}/shm`,
  };
  const args = [
    folder,
    namespaces.net ?? '',
    o.hasOwnIpc ? 'ipc' : '',
    String(sharedMemoryBytes),
    o.hostname ?? '',
  ];
  const sysctls = hasNetwork ? [...networkSysctls, ...o.sysctls] : o.sysctls;
  const assignments = sysctls.map((each) => each.replace(/^[^=]+/, (name) => name.replaceAll('.', '/')));
  const result = await host.run(['sh', '-c', createScript, 'sh', ...args, ...assignments]);
  if (result.exitCode !== 0) {
    await removePodNamespaces(host, namespaces);
    throw new Error(`namespaces could not be created: ${result.stderr.trim()}`);
  }
  return namespaces;
}

/** Lets go of a pod's namespaces; they disappear with their last process. Idempotent. */
export async function removePodNamespaces(host: NodeHost, { net, folder }: PodNamespaces): Promise<void> {
  await host.run(['sh', '-c', removeScript, 'sh', net ?? '', folder]);
}
