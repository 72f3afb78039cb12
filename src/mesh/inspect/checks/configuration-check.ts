import type { Resource } from '#base/kube/resource.js';
import type { Configuration } from '../configuration/configuration.js';
import type { Finding } from '../findings/finding.js';

/**
 * Looks for one kind of mistake that configuration alone shows, status conditions included. It decides by the rules in
 * `mesh/rules`, and never takes for absent what was not seen.
 */
export interface ConfigurationCheck {
  /** Codes of its findings. */
  readonly codes: readonly string[];
  /** Kinds it reads. */
  readonly reads: readonly Resource[];
  readonly run: (configuration: Configuration) => readonly Finding[];
}
