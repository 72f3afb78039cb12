import type { InstallReporter } from '#mesh/install/reporter.js';

/** Collects what would be printed. */
export class Notes implements InstallReporter {
  readonly lines: string[] = [];
  step(title: string): { update(): void; succeed(text?: string): void; fail(text?: string): void } {
    return {
      update: () => undefined,
      succeed: (text) => void this.lines.push(`${title}: ${text}`),
      fail: (text) => void this.lines.push(`${title} failed: ${text}`),
    };
  }
  info(text: string): void {
    this.lines.push(text);
  }
  warn(text: string): void {
    this.lines.push(`! ${text}`);
  }
}
