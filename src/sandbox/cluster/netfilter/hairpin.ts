/**
 * Bit of the connection mark that says: a pod talks to itself, through a service of its
 * own. Service routing sets it when it chooses the endpoint; network policies, which
 * never come between a pod and itself, let such connections pass.
 */
export const hairpinMark = '0x100000';
