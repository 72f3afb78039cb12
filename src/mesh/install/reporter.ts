/** Where long work reports to; the CLI's progress reporter is one. */
export interface InstallReporter {
  step(title: string): {
    update(text: string): void;
    succeed(text?: string): void;
    fail(text?: string): void;
  };
  info(text: string): void;
  warn(text: string): void;
}
