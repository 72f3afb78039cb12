/** Starts one command and resolves to the exit code of the process. */
type Command = (args: readonly string[], env: NodeJS.ProcessEnv) => Promise<number>;

// Each command is its own chunk, so that a pod that only sleeps loads nothing else.
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import('./echo/serve.js')).serve,
  curl: async () => (await import('./curl.js')).curl,
  tcp: async () => (await import('./tcp.js')).tcp,
  ws: async () => (await import('./ws.js')).ws,
  grpc: async () => (await import('./grpc/command.js')).grpc,
  load: async () => (await import('./load/command.js')).load,
  dns: async () => (await import('./dns.js')).dns,
  sleep: async () => (await import('./sleep.js')).sleep,
};

const usage = `usage: tool [serve [tcp]] [--port 8080] [--tcp-port 9090] [--name N] [--version TEXT] [--delay MS] [--status CODE]
            [--tls-port 8443 --tls-cert FILE --tls-key FILE [--tls-client-ca FILE]] [--shutdown-delay MS] [--quiet]
       tool curl [curl flags] URL...
       tool tcp send HOST PORT [--text T] [--timeout SECONDS]
       tool ws URL [--message T] [--count N] [--header 'Name: value'] [--timeout SECONDS] [--insecure]
       tool grpc HOST:PORT SERVICE/METHOD [--text T | --hex H] [--header 'Name: value'] [--timeout SECONDS]
       tool grpc HOST:PORT health [--service S]
       tool load URL --rate PER_SECOND --duration SECONDS [--connections N] [--each-new-connection] [--http2] [--timeout SECONDS]
       tool dns NAME [--type A] [--server ADDRESS[:PORT]] [--timeout SECONDS]
       tool sleep [SECONDS]
`;

/** Entry of the tool image: an echo server without arguments, otherwise the named command. Exit code 2 is wrong usage. */
export async function main(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const [first, ...rest] = args;
  if (first === '--help' || first === '-h' || first === 'help') {
    process.stdout.write(usage);
    return 0;
  }
  // Flags without a command belong to the echo server: `tool --port 80`.
  const name = first === undefined || first.startsWith('-') ? 'serve' : first;
  const load = commands[name];
  if (load === undefined) {
    process.stderr.write(`tool: unknown command ${name}\n${usage}`);
    return 2;
  }
  const command = await load();
  return command(name === first ? rest : args, env);
}
