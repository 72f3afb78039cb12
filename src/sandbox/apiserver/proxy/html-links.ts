/** Attributes that hold a URL (HTML 4.01, index of attributes; HTML standard, index). */
const urlAttributes: Readonly<Record<string, readonly string[]>> = {
  a: ['href'],
  applet: ['codebase'],
  area: ['href'],
  audio: ['src'],
  base: ['href'],
  blockquote: ['cite'],
  body: ['background'],
  button: ['formaction'],
  command: ['icon'],
  del: ['cite'],
  embed: ['src'],
  form: ['action'],
  frame: ['longdesc', 'src'],
  head: ['profile'],
  html: ['manifest'],
  iframe: ['longdesc', 'src'],
  img: ['longdesc', 'src', 'usemap'],
  input: ['src', 'usemap', 'formaction'],
  ins: ['cite'],
  link: ['href'],
  object: ['classid', 'codebase', 'data', 'usemap'],
  q: ['cite'],
  script: ['src'],
  source: ['src'],
  video: ['poster', 'src'],
};

/** Elements whose content is text, whatever it looks like. */
const textElements = 'script|style|textarea|title|iframe|noembed|noframes|xmp';

/** A comment, or a start tag with the text behind it where there is one. */
const piece = new RegExp(
  String.raw`<!--[\s\S]*?(?:-->|$)|<([a-z][^\s/>]*)((?:"[^"]*"|'[^']*'|[^>"'])*)>`,
  'gi',
);
const attribute = /([^\s/=>"']+)(\s*=\s*)("[^"]*"|'[^']*'|[^\s"'>]+)/g;
const textElement = new RegExp(`^(?:${textElements})$`, 'i');

/** Where a page is seen: `prefix` is the path it was moved to, `hosts` are its own names. */
export interface PagePlace {
  readonly prefix: string;
  readonly hosts: readonly string[];
}

/** A page whose links to the root of its own site lead behind the proxy. Everything else stays as it is. */
export function withLinksBehind(html: string, at: PagePlace): string {
  let out = '';
  let done = 0;
  piece.lastIndex = 0;
  for (let match = piece.exec(html); match !== null; match = piece.exec(html)) {
    const [whole, name, attributes = ''] = match;
    if (name === undefined) continue;
    out += html.slice(done, match.index) + tagBehind(name, attributes, at);
    done = match.index + whole.length;
    if (textElement.test(name)) {
      const end = html.slice(done).search(new RegExp(`</${name}`, 'i'));
      if (end < 0) break;
      piece.lastIndex = done + end;
    }
  }
  return out + html.slice(done);
}

function tagBehind(name: string, attributes: string, at: PagePlace): string {
  const named = urlAttributes[name.toLowerCase()] ?? [];
  const changed = attributes.replace(attribute, (text, key: string, equals: string, value: string) => {
    if (!named.includes(key.toLowerCase())) return text;
    const quote = /^["']/.exec(value)?.[0] ?? '';
    const url = quote === '' ? value : value.slice(1, -1);
    return `${key}${equals}${quote}${urlBehind(url, at)}${quote}`;
  });
  return `<${name}${changed}>`;
}

function urlBehind(url: string, { prefix, hosts }: PagePlace): string {
  const match = /^((?:https?:)?\/\/([^/?#]*))?(\/[\s\S]*)$/i.exec(url);
  const [, origin = '', host = '', path = ''] = match ?? [];
  if (match === null || (origin !== '' && !hosts.includes(host))) return url;
  const escaped = prefix.replace(/[&"'<>]/g, (c) => `&#${c.codePointAt(0)};`);
  return path.startsWith(prefix) ? url : `${origin}${escaped}${path}`;
}
