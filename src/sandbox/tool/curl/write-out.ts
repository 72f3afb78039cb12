/** Numbers and strings `-w` can print; times in seconds since the transfer began. */
export interface TransferFacts {
  httpCode: number;
  httpVersion: string;
  contentType: string;
  method: string;
  urlEffective: string;
  redirectUrl: string;
  remoteIp: string;
  remotePort: number;
  localIp: string;
  localPort: number;
  connectCount: number;
  redirectCount: number;
  sizeDownload: number;
  sizeUpload: number;
  headerCount: number;
  timeNamelookup: number;
  timeConnect: number;
  timeAppconnect: number;
  timeStarttransfer: number;
  timeTotal: number;
  exitCode: number;
  errorMessage: string;
  headers: Readonly<Record<string, string>>;
}

/** Facts of a transfer that has not begun. */
export function noFacts(): TransferFacts {
  return {
    httpCode: 0,
    httpVersion: '0',
    contentType: '',
    method: '',
    urlEffective: '',
    redirectUrl: '',
    remoteIp: '',
    remotePort: 0,
    localIp: '',
    localPort: 0,
    connectCount: 0,
    redirectCount: 0,
    sizeDownload: 0,
    sizeUpload: 0,
    headerCount: 0,
    timeNamelookup: 0,
    timeConnect: 0,
    timeAppconnect: 0,
    timeStarttransfer: 0,
    timeTotal: 0,
    exitCode: 0,
    errorMessage: '',
    headers: {},
  };
}

const seconds = (value: number): string => value.toFixed(6);
const statusCode = (facts: TransferFacts): string => String(facts.httpCode).padStart(3, '0');

const variables: Readonly<Record<string, (facts: TransferFacts) => string>> = {
  http_code: statusCode,
  response_code: statusCode,
  http_version: (f) => f.httpVersion,
  content_type: (f) => f.contentType,
  method: (f) => f.method,
  url: (f) => f.urlEffective,
  url_effective: (f) => f.urlEffective,
  redirect_url: (f) => f.redirectUrl,
  remote_ip: (f) => f.remoteIp,
  remote_port: (f) => String(f.remotePort),
  local_ip: (f) => f.localIp,
  local_port: (f) => String(f.localPort),
  num_connects: (f) => String(f.connectCount),
  num_redirects: (f) => String(f.redirectCount),
  num_headers: (f) => String(f.headerCount),
  size_download: (f) => String(f.sizeDownload),
  size_upload: (f) => String(f.sizeUpload),
  time_namelookup: (f) => seconds(f.timeNamelookup),
  time_connect: (f) => seconds(f.timeConnect),
  time_appconnect: (f) => seconds(f.timeAppconnect),
  time_starttransfer: (f) => seconds(f.timeStarttransfer),
  time_total: (f) => seconds(f.timeTotal),
  exitcode: (f) => String(f.exitCode),
  errormsg: (f) => f.errorMessage,
  header_json: (f) => JSON.stringify(f.headers),
  json: (f) =>
    JSON.stringify({
      http_code: f.httpCode,
      http_version: f.httpVersion,
      content_type: f.contentType,
      remote_ip: f.remoteIp,
      remote_port: f.remotePort,
      local_ip: f.localIp,
      local_port: f.localPort,
      num_connects: f.connectCount,
      size_download: f.sizeDownload,
      time_connect: f.timeConnect,
      time_total: f.timeTotal,
      url_effective: f.urlEffective,
      exitcode: f.exitCode,
      errormsg: f.errorMessage === '' ? null : f.errorMessage,
    }),
};

/** Expands `%{name}`, `%header{name}`, `%%` and the escapes `\n \r \t`; unknown variables are left out with a note, as in curl. */
export function expandWriteOut(format: string, facts: TransferFacts): string {
  return format.replace(
    /%header\{([^}]*)\}|%\{([^}]*)\}|%%|\\([nrt\\])/g,
    (whole: string, header: string | undefined, name: string | undefined, escape: string | undefined) => {
      if (header !== undefined) return facts.headers[header.toLowerCase()] ?? '';
      if (name !== undefined) {
        const render = Object.hasOwn(variables, name) ? variables[name] : undefined;
        return render === undefined ? '' : render(facts);
      }
      if (whole === '%%') return '%';
      return escape === 'n' ? '\n' : escape === 'r' ? '\r' : escape === 't' ? '\t' : '\\';
    },
  );
}
