/** Who owns an entry and what may be done with it, as in the tar header. */
export interface EntryMeta {
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970. */
  readonly mtime: number;
}

/** One change that a layer makes. `path` is relative, without `.`, `..` or empty parts; `[]` is the root. */
export type LayerEntry =
  | { readonly kind: 'folder'; readonly path: readonly string[]; readonly meta: EntryMeta }
  /** `content` is the number of the file that holds the bytes. */
  | {
      readonly kind: 'file';
      readonly path: readonly string[];
      readonly meta: EntryMeta;
      readonly content: number;
    }
  | {
      readonly kind: 'symlink';
      readonly path: readonly string[];
      readonly meta: EntryMeta;
      readonly target: string;
    }
  | { readonly kind: 'hardlink'; readonly path: readonly string[]; readonly target: readonly string[] }
  /** Removes what lower layers have there. */
  | { readonly kind: 'whiteout'; readonly path: readonly string[] }
  /** Hides what lower layers have in this folder. */
  | { readonly kind: 'opaque'; readonly path: readonly string[] };
