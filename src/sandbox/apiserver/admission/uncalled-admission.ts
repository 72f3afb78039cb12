import type { Logger } from '../../../telemetry/log.js';
import type { AdmissionPlugin } from './admission.js';

/**
 * Webhooks and admission policies are stored but not called by this server.
 * Whoever creates one is told so, in a warning that kubectl prints and in the
 * log: a check that does not run must not look like one that passes.
 */
export function uncalledAdmission(logger: Logger): AdmissionPlugin {
  return {
    name: 'UncalledAdmission',
    validate: ({ operation, resource, object, warnings }) => {
      if (operation === 'DELETE' || resource.group !== 'admissionregistration.k8s.io') return;
      const text = `${resource.kind} "${object.metadata.name}" is stored, but this API server does not call it`;
      warnings?.push(text);
      logger.warn(text);
    },
  };
}
