/**
 * The proxy that the environment names for a server, as kubectl (Go's net/http) reads it: HTTPS_PROXY or HTTP_PROXY by
 * the scheme of the server, in either case, unless NO_PROXY has the host; never for the machine itself.
 */
export function environmentProxy(server: string, env: Readonly<NodeJS.ProcessEnv>): string | undefined {
  if (!URL.canParse(server)) return undefined;
  const { protocol, hostname, port } = new URL(server);
  const name = protocol === 'http:' ? 'http_proxy' : 'https_proxy';
  const proxy = env[name.toUpperCase()] ?? env[name] ?? '';
  if (proxy === '' || isLoopback(hostname)) return undefined;
  const exempt = (env['NO_PROXY'] ?? env['no_proxy'] ?? '').split(',').map((entry) => entry.trim());
  if (exempt.some((entry) => isExempt(entry, hostname, port))) return undefined;
  return proxy.includes('://') ? proxy : `http://${proxy}`;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || host.startsWith('127.');
}

/** `*`, a host with or without a port, or a domain: `.corp`, `corp` (which has its subdomains too). */
function isExempt(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true;
  const [name = '', ownPort] = entry.toLowerCase().split(/:(?=\d+$)/);
  if (name === '' || (ownPort !== undefined && ownPort !== port)) return false;
  return host === name || host.endsWith(name.startsWith('.') ? name : `.${name}`);
}
