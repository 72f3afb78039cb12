/** What somebody wants to do. */
export type Attributes =
  | {
      readonly kind: 'resource';
      readonly verb: string;
      readonly group: string;
      readonly resource: string;
      readonly subresource: string;
      readonly namespace: string;
      readonly name: string;
      /** The one node whose pods a list or watch asks for; '' when it asks for others too. */
      readonly selectedNode?: string;
    }
  | { readonly kind: 'path'; readonly verb: string; readonly path: string };

export interface AccessDecision {
  readonly isAllowed: boolean;
  /** Who allows it; or why not, where that is known. */
  readonly reason: string;
}
