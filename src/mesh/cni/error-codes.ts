import type { ErrorCode } from '#base/errors/mesh-error.js';

/** Codes MESH0700 to MESH0799. */
export const cniCodes = {
  MESH0701: {
    kind: 'failed',
    title: 'iptables could not read or write rules',
    cause:
      'iptables-save or iptables-restore failed inside a network namespace: a kernel module is missing, the capability NET_ADMIN is not granted, or another program holds the lock.',
    fix: 'Read the evidence. Check that the CNI agent has NET_ADMIN, NET_RAW and SYS_ADMIN, and that the node has iptable_nat, xt_REDIRECT, xt_CONNMARK and xt_owner.',
  },
  MESH0702: {
    kind: 'failed',
    title: 'the policy route of a pod could not be set',
    cause: '`ip rule` or `ip route` failed inside a pod network namespace.',
    fix: 'Check that the CNI agent image has iproute2 and that the agent has NET_ADMIN.',
  },
  MESH0703: {
    kind: 'failed',
    title: 'an ipset of the node could not be changed',
    cause: 'ipset failed in the node network namespace.',
    fix: 'Check that the node has the kernel module ip_set_hash_ip and that the agent has NET_ADMIN.',
  },
  MESH0704: {
    kind: 'failed',
    title: 'the network namespace of a pod was not found',
    cause:
      'No process of the pod and no entry of the network namespace directory has one of the pod addresses.',
    fix: 'Check that the CNI agent mounts the node directory /proc at /host/proc and /var/run/netns at /host/var/run/netns with HostToContainer propagation.',
  },
  MESH0705: {
    kind: 'failed',
    title: 'no ztunnel is connected to the CNI agent of the node',
    cause:
      'The node proxy of this node is not running, is starting, or does not share /var/run/ztunnel with the agent.',
    fix: 'Run `kubectl -n istio-system get pods -l app=ztunnel -o wide` and look at the logs of the one on this node.',
  },
  MESH0706: {
    kind: 'failed',
    title: 'ztunnel did not accept a pod',
    cause: 'ztunnel answered with an error, or did not answer within five seconds.',
    fix: 'Look at the log of the ztunnel pod on this node.',
  },
  MESH0707: {
    kind: 'failed',
    title: 'the CNI configuration of the node cannot be used',
    cause: 'The configuration directory has no valid .conf or .conflist to chain the plugin to.',
    fix: 'Check the network plugin of the node and the installation value cni.cniConfDir.',
  },
  MESH0709: {
    kind: 'failed',
    title: 'a pod waits because the CNI agent of its node does not answer',
    cause:
      'The CNI plugin asks the agent before a pod starts. The agent does not run, is stuck, or its run directory is full, and nothing says that the namespace of the pod is outside the mesh. Pods of other namespaces, of excluded ones and the agent itself start.',
    fix: 'Run `kubectl -n istio-system get pods -l k8s-app=istio-cni-node -o wide` and look at the log of the one on this node. Kubernetes tries again by itself.',
  },
  MESH0710: {
    kind: 'failed',
    title: 'a pod waits on a node that the CNI agent left for good',
    cause:
      'The DaemonSet istio-cni-node no longer selects the node, or is gone, while pods on it were still in the mesh. They stay captured; new pods of the mesh would start uncaptured and are held back.',
    fix: 'Let the DaemonSet select the node again, move the pods to another node, or take them out of the mesh with the label istio.io/dataplane-mode=none. To remove the mesh, run `meshctl uninstall` while the agents are there.',
  },
  MESH0711: {
    kind: 'failed',
    title: 'the CNI plugin does not run on the node',
    cause:
      'The agent tries the plugin in the root of the node before it chains it into the network configuration, since a plugin that cannot run keeps every pod from starting. The busybox in the image of the agent is missing, not statically linked or for another machine, the folder of CNI binaries has another name on the node or forbids programs, or the agent may not enter the root of the node.',
    fix: 'Read the evidence. Check the installation value cni.cniBinDir, that the folder is not mounted noexec, and that the agent has SYS_CHROOT and SYS_PTRACE. In a sandbox, install the Debian package busybox-static.',
  },
} as const satisfies Record<string, ErrorCode>;
