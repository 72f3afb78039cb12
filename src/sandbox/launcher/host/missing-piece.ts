/** Something the sandbox needs and this machine does not have. */
export interface MissingPiece {
  readonly piece: string;
  /** What it is needed for, or what was observed. */
  readonly reason: string;
  /** The exact command that puts it in place. */
  readonly fix: string;
}
