import { clientVersion } from '../client-version.js';
import type { CommandDefinition } from '../command.js';

export const command: CommandDefinition = {
  options: [{ flags: '--client', description: 'only the version of this program; needs no cluster' }],
  run: async () => ({
    kind: 'Version',
    data: { client: { version: clientVersion } },
    text: () => `client: ${clientVersion}`,
    // Without the table renderer: this must start as fast as Node itself.
    formats: { table: () => `client: ${clientVersion}` },
  }),
};
