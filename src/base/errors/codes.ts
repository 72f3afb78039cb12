import type { ErrorCode } from './mesh-error.js';

/** What `kube` (MESH0200 to MESH0299) and `system` (MESH1000 to MESH1099) raise. */
export const baseCodes = {
  MESH0201: {
    kind: 'access',
    title: 'the cluster cannot be reached',
    cause:
      'No connection to the API server: nothing listens at the address, the name does not resolve, or TLS failed.',
    fix: 'Check that the cluster runs and that the kubeconfig context points at it: kubectl config current-context.',
  },
  MESH0202: {
    kind: 'access',
    title: 'the cluster does not accept these credentials',
    cause:
      'The API server answered 401 Unauthorized: the token or certificate is missing, expired or unknown.',
    fix: 'Log in to the cluster again, or name another context with --context.',
  },
  MESH0203: {
    kind: 'access',
    title: 'not permitted',
    cause:
      'The API server answered 403 Forbidden: RBAC does not grant the verb on the resource to this user.',
    fix: 'Ask a cluster administrator for the permission named in the message, or use another user (--as, --context).',
  },
  MESH0204: {
    kind: 'failed',
    title: 'not found',
    cause: 'The object, or the kind of object, does not exist in the cluster.',
    fix: 'Check the name and the namespace (-n).',
  },
  MESH0205: {
    kind: 'failed',
    title: 'conflict',
    cause: 'The object exists already, was changed in between, or another field manager owns the field.',
    fix: 'Look at who owns the field (kubectl get -o yaml --show-managed-fields) and run the command again.',
  },
  MESH0206: {
    kind: 'failed',
    title: 'the API server refused the object',
    cause: 'The object does not pass the validation of the API server.',
    fix: 'Correct the field named in the message.',
  },
  MESH0207: {
    kind: 'failed',
    title: 'the API server failed',
    cause: 'The API server, or something between it and this program, answered with an error.',
    fix: 'Try again; if it stays, look at the health of the control plane.',
  },
  MESH0208: {
    kind: 'access',
    title: 'the kubeconfig cannot be used',
    cause: 'The file is missing, is not valid, or does not contain the named context.',
    fix: 'Point --kubeconfig or $KUBECONFIG at a valid file; list contexts with kubectl config get-contexts.',
  },
  MESH0209: {
    kind: 'access',
    title: 'the API server did not answer in time',
    cause:
      'The connection stands but no answer came within the time for one request (30 s, at most --timeout).',
    fix: 'Look at the load of the control plane and at the network between; kubectl get --raw /readyz should answer at once.',
  },
  MESH0210: {
    kind: 'failed',
    title: 'no connection to the pod',
    cause:
      'Port-forward or exec into the pod failed: the pod is not running, or nothing listens on the port.',
    fix: 'Look at the pod: kubectl describe pod, kubectl logs.',
  },
  MESH0211: {
    kind: 'access',
    title: 'the cluster does not answer',
    cause:
      'No connection to the API server came about within 10 s (less with a shorter --timeout): packets are dropped on the way, or what accepts the connection never speaks.',
    fix: 'Look at VPN, firewall and proxy between here and the address, and whether it is still the cluster: kubectl config view --minify.',
  },
  MESH0212: {
    kind: 'access',
    title: 'the certificate of the API server is not trusted',
    cause:
      'The server proves to be another one than the kubeconfig expects: another certificate authority, another name, or out of its time.',
    fix: 'Get a new kubeconfig of the cluster: certificate-authority in it has to be the authority of the API server, and its address the right one.',
  },
  MESH0213: {
    kind: 'access',
    title: 'the client certificate is not valid now',
    cause:
      'The API server refused the client certificate of the kubeconfig, and it is expired or not valid yet.',
    fix: 'Log in again, or get a new kubeconfig of the cluster.',
  },
  MESH0214: {
    kind: 'access',
    title: 'the credential plugin of the kubeconfig gave no credential',
    cause:
      'The user of the kubeconfig context gets its credential from a program (users[].user.exec), and that program is not installed, failed, did not end, or printed something else.',
    fix: 'Do what the message of the plugin says, such as logging in again; then repeat the command.',
  },
  MESH0215: {
    kind: 'failed',
    title: 'a component did not answer in time',
    cause:
      'A process of the mesh was asked through the API server and stayed silent: it is stopped or overloaded, or its node cannot be reached.',
    fix: 'Look at the pod and its node: kubectl get pod -o wide, kubectl describe node; delete the pod to have it made anew.',
  },
  MESH0216: {
    kind: 'failed',
    title: 'a component was not asked',
    cause:
      'The time of the command was over before: many components are slow or silent, and only some are asked at a time.',
    fix: 'Mend what the command says of those that were asked, or give it more time with --timeout.',
  },
  MESH1001: {
    kind: 'failed',
    title: 'a program that is needed is not installed',
    cause: 'A system tool (iptables-restore, ip, tcpdump, ...) was not found in PATH.',
    fix: 'Install the named program with the package manager of the machine, then run the command again.',
  },
} as const satisfies Record<string, ErrorCode>;
