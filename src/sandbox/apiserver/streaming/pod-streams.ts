import type { Logger } from '#base/telemetry/log.js';
import {
  type AcceptedCommand,
  StreamAcceptor,
  UnknownProtocolError,
} from '../../streaming/stream-acceptor.js';
import { apiError } from '../api-error.js';
import type { KubeletGateway } from '../../base/kubelet-gateway.js';
import type { Operations } from '../registry/operations.js';
import { assertPlaced, containerOf } from '../subresources/pod-container.js';
import { gatewayError } from '../subresources/pod-logs.js';
import type { UpgradeRequest } from './upgrade-request.js';

export interface PodStreamsDeps {
  readonly operations: Operations;
  readonly kubelet: KubeletGateway;
  readonly logger: Logger;
}

/** Serves exec, attach and port-forward: requests that leave HTTP by an upgrade. */
export class PodStreams {
  readonly #deps: PodStreamsDeps;
  readonly #acceptor: StreamAcceptor;

  constructor(deps: PodStreamsDeps) {
    this.#deps = deps;
    this.#acceptor = new StreamAcceptor(deps.logger);
  }

  /** Serves exec, attach or port-forward of a pod. Throws before the upgrade; what goes wrong later ends the stream. */
  async serve(upgrade: UpgradeRequest): Promise<void> {
    const { url, path, signal } = upgrade;
    const { operations, kubelet } = this.#deps;
    const pods = operations.registry.find('', 'v1', 'pods');
    if (path.group !== '' || path.plural !== 'pods' || pods === undefined) throw apiError.unknownPath();
    const pod = operations.get(pods, { namespace: path.namespace, name: path.name ?? '' });
    assertPlaced(pod);
    const query = url.searchParams;
    const { namespace = '', name, uid } = pod.metadata;
    const target = { namespace, pod: name, uid };
    try {
      if (path.subresource === 'portforward') {
        const ports = query
          .getAll('ports')
          .flatMap((p) => p.split(','))
          .map(Number);
        this.#acceptor.acceptPorts(upgrade, ports, (port) =>
          kubelet.portForward({ ...target, port }, signal),
        );
        return;
      }
      // Checked before the upgrade, so that mistakes are readable.
      const container = containerOf(pod, query.get('container') ?? '');
      const command = query.getAll('command');
      if (path.subresource === 'exec' && command.length === 0)
        throw apiError.badRequest('you must specify at least 1 command for the container');
      const options = commandOptions(query);
      const request = { ...target, container, tty: options.hasTerminal };
      this.#acceptor.acceptCommand(upgrade, {
        ...options,
        run: (io) =>
          path.subresource === 'attach'
            ? kubelet.attach(request, io, signal)
            : kubelet.exec({ ...request, command }, io, signal),
        describe: (error) => gatewayError(error).toStatus(),
      });
    } catch (error) {
      // 400 makes clients that can fall back do so.
      throw error instanceof UnknownProtocolError ? apiError.badRequest(error.message) : error;
    }
  }
}

function commandOptions(query: URLSearchParams): Omit<AcceptedCommand, 'run' | 'describe'> {
  const asks = (name: string): boolean => ['true', '1'].includes(query.get(name) ?? '');
  return {
    hasStdin: asks('stdin'),
    hasStdout: asks('stdout'),
    hasStderr: asks('stderr'),
    hasTerminal: asks('tty'),
  };
}
