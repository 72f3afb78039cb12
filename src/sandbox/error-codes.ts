import type { ErrorCode } from '#base/errors/mesh-error.js';

/** Codes MESH0800 to MESH0899. */
export const sandboxCodes = {
  MESH0800: {
    kind: 'usage',
    title: 'the sandbox cannot be made as asked',
    cause: 'The name is not a DNS label, the number of nodes is out of range, or an IP family is unknown.',
    fix: 'Use lower-case letters, digits and dashes for the name, 1 to 50 nodes, and ipv4, ipv6 or both for the families.',
  },
  MESH0801: {
    kind: 'failed',
    title: 'this machine lacks something the sandbox needs',
    cause:
      'A program (bubblewrap, iptables, the CNI plugins, ...) is not installed, or the kernel does not allow user namespaces or packet redirection.',
    fix: 'Run the command that the message names, then try again. Nothing was started.',
  },
  MESH0802: {
    kind: 'failed',
    title: 'a node of the sandbox could not be started',
    cause: 'The kernel or bubblewrap refused to make the namespaces of the node.',
    fix: 'The evidence is what bubblewrap said. Inside a container, the outer container must allow nested namespaces.',
  },
  MESH0803: {
    kind: 'failed',
    title: 'no such sandbox',
    cause: 'No sandbox of that name is running for this user.',
    fix: 'List them with `meshctl sandbox list`, or start one with `meshctl sandbox up`.',
  },
  MESH0804: {
    kind: 'failed',
    title: 'a sandbox of that name is already there',
    cause:
      'It has another number of nodes, other IP families or another API server than asked for, or was started without --persist.',
    fix: 'Use it as it is, add nodes with `meshctl sandbox node add`, take it down with `meshctl sandbox down`, or choose another name.',
  },
  MESH0805: {
    kind: 'failed',
    title: 'the sandbox ended while it was starting',
    cause: 'Its supervisor stopped with an error.',
    fix: 'The evidence holds the end of its log.',
  },
  MESH0806: {
    kind: 'timeout',
    title: 'the sandbox did not become ready in time',
    cause: 'A node did not become Ready, or cluster DNS did not answer.',
    fix: 'See what is missing in the message; give more time with --timeout on a slow machine.',
  },
  MESH0807: {
    kind: 'usage',
    title: 'no such node',
    cause: 'The sandbox has no node of that name.',
    fix: '`meshctl sandbox node list` lists them.',
  },
  MESH0808: {
    kind: 'failed',
    title: 'the kubeconfig cannot be changed',
    cause: 'It is not valid YAML, or another program holds its lock.',
    fix: 'Repair the file, or use `meshctl sandbox up --no-kubeconfig` and `meshctl sandbox kubeconfig`.',
  },
  MESH0809: {
    kind: 'failed',
    title: 'the control plane programs cannot be used',
    cause:
      'KUBEBUILDER_ASSETS names a folder without a kube-apiserver and an etcd that run here and are new enough.',
    fix: 'Put both programs into that folder, or unset KUBEBUILDER_ASSETS to use the embedded API server.',
  },
  MESH0810: {
    kind: 'failed',
    title: 'kube-apiserver or etcd did not start',
    cause: 'The program from KUBEBUILDER_ASSETS ended or did not become ready.',
    fix: 'The evidence is the end of its log. Unset KUBEBUILDER_ASSETS to use the embedded API server.',
  },
  MESH0811: {
    kind: 'failed',
    title: 'the sandbox was started by another version of meshctl',
    cause: 'Its supervisor does not know what this meshctl asks for.',
    fix: 'Use the meshctl that started it, or take it down and up again with this one; with --persist nothing is lost.',
  },
  MESH0812: {
    kind: 'failed',
    title: 'pods run on the node',
    cause: 'A node is removed together with its pods, and some would not come back elsewhere by themselves.',
    fix: 'Move them first with `kubectl drain`, or remove the node with --force.',
  },
  MESH0813: {
    kind: 'failed',
    title: 'the node cannot be added',
    cause: 'There is a node of that name already, or the sandbox has as many nodes as it can have.',
    fix: 'Choose another name, or remove a node with `meshctl sandbox node remove`.',
  },
  MESH0814: {
    kind: 'failed',
    title: 'the files of the sandbox cannot be written or read',
    cause: 'The disk is full, the folder belongs to somebody else, or a file in it is damaged.',
    fix: 'Make room, or name another folder with XDG_STATE_HOME; `meshctl sandbox down --purge` removes all files of a sandbox.',
  },
  MESH0815: {
    kind: 'failed',
    title: 'the sandbox does not do what it was asked for',
    cause: 'Its supervisor does not answer, or failed at an unexpected point.',
    fix: 'Look at its log (meshctl sandbox status names the file); `meshctl sandbox down` ends it in any case.',
  },
  MESH0816: {
    kind: 'timeout',
    title: 'the node did not become Ready in time',
    cause: 'It booted, but its kubelet has not reported, or reports a problem.',
    fix: 'See `kubectl describe node`; give more time with --timeout on a slow machine.',
  },
  MESH0830: {
    kind: 'failed',
    title: 'the network rules of a node cannot be set',
    cause:
      'iptables-restore refused the rules that route Services or enforce NetworkPolicies; a kernel module it needs may be missing.',
    fix: 'Read the message of iptables in the log of the sandbox: meshctl sandbox status names the file.',
  },
  MESH0831: {
    kind: 'failed',
    title: 'the address sets of network policies cannot be written',
    cause:
      'ipset refused a set of pods or networks that a NetworkPolicy names; a kernel module it needs (hash:ip, hash:net, hash:ip,port) may be missing.',
    fix: 'Read the message of ipset in the log of the sandbox. Until it works, pods that a policy isolates do not start.',
  },
  MESH0844: {
    kind: 'usage',
    title: 'the image has no usable name',
    cause: 'The archive does not say what its image is called, or the name given is not valid.',
    fix: 'Give it one: meshctl sandbox load image.tar --tag NAME:TAG',
  },
} as const satisfies Record<string, ErrorCode>;
