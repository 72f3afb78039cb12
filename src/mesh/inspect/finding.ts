export type Severity = 'error' | 'warning' | 'info';

/** Something a reader should know: where intent and observation differ, or soon will. */
export interface Finding {
  /** MESHxxxx, explained by `meshctl explain`. */
  readonly code: string;
  readonly severity: Severity;
  readonly message: string;
  readonly hint?: string;
}
