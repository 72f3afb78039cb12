/** The node whose rules are rendered. Without a name (the root namespace) no endpoint is local. */
export interface RoutingNode {
  readonly name: string | undefined;
  /** Value of the node's topology.kubernetes.io/zone label. */
  readonly zone?: string | undefined;
}
