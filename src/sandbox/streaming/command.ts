import type { Writable } from 'node:stream';
import type { JsonObject } from '../base/json.js';
import type { ContainerIo } from '../base/kubelet-gateway.js';

/** Which streams the client of an exec or attach session asked for. */
export interface CommandOptions {
  readonly hasStdin: boolean;
  readonly hasTerminal: boolean;
}

/** An exec or attach session, ready to run on the streams it is given. */
export interface Command extends CommandOptions {
  /** Runs the session to its end. */
  run(io: ContainerIo): Promise<{ readonly exitCode: number }>;
  /** The Status a client gets for what `run` rejected with. */
  describe(error: unknown): JsonObject;
}

/** Runs a session and closes its outputs; resolves to the Status that its error channel carries. */
export async function runCommand(command: Command, io: ContainerIo): Promise<JsonObject> {
  try {
    const { exitCode } = await command.run(io);
    await Promise.all([finish(io.stdout), ...(io.stderr === undefined ? [] : [finish(io.stderr)])]);
    return exitStatus(exitCode);
  } catch (error) {
    return command.describe(error);
  }
}

/** How a finished command is reported on the error channel. */
function exitStatus(exitCode: number): JsonObject {
  if (exitCode === 0) return { metadata: {}, status: 'Success' };
  return {
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: exit status ${exitCode}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(exitCode) }] },
  };
}

async function finish(stream: Writable): Promise<void> {
  if (stream.writableFinished || stream.destroyed) return;
  await new Promise<void>((resolve) => {
    stream.once('close', resolve);
    stream.end(resolve);
  });
}
