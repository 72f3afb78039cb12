import { isRecord } from '#base/collections/is-record.js';
import { CniError, cniErrorCodes } from './cni-error.js';

/** What the agent reads of the configuration that a container runtime hands the plugin. */
export interface CniConf {
  readonly cniVersion: string;
  /** Result of the plugins before ours, as it came; undefined when there was none. */
  readonly prevResult: Readonly<Record<string, unknown>> | undefined;
}

const supportedVersions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'];

/** Parses the configuration on stdin. Throws {@link CniError} with codes 1, 6 and 7 of the CNI specification. */
export function parseCniConf(text: string): CniConf {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CniError(
      cniErrorCodes.decodingFailure,
      'the configuration on stdin is not JSON',
      String(error),
    );
  }
  if (!isRecord(value)) {
    throw new CniError(cniErrorCodes.decodingFailure, 'the configuration on stdin is not a JSON object');
  }
  const { cniVersion = '0.1.0', prevResult } = value;
  if (typeof cniVersion !== 'string' || !supportedVersions.includes(cniVersion)) {
    throw new CniError(
      cniErrorCodes.incompatibleVersion,
      `CNI version ${String(cniVersion)} is not supported`,
      `supported: ${supportedVersions.join(', ')}`,
    );
  }
  if (prevResult === undefined || prevResult === null) return { cniVersion, prevResult: undefined };
  if (!isRecord(prevResult)) {
    throw new CniError(cniErrorCodes.invalidConfig, 'prevResult is not an object');
  }
  return { cniVersion, prevResult };
}

/** The pod's addresses in a result: the current layout, or that of CNI 0.1 and 0.2 (`ip4`, `ip6`). */
export function addressesInResult(result: CniConf['prevResult']): readonly string[] {
  const { ips, ip4, ip6 } = result ?? {};
  const texts = [
    ...(Array.isArray(ips) ? ips.map((entry: unknown) => isRecord(entry) && entry['address']) : []),
    ...[ip4, ip6].map((entry) => isRecord(entry) && entry['ip']),
  ];
  return texts.flatMap((text) => (typeof text === 'string' ? [text.split('/')[0] ?? ''] : []));
}
