import { Optional, type Environment } from '@marcbachmann/cel-js';
import { keyProblem, nameProblem } from '../../registry/names.js';
import { matchesFormat } from '../../schema/formats.js';
import { define } from './define.js';

type Check = (text: string) => string | undefined;

class NamedFormat {
  readonly check: Check;

  constructor(check: Check) {
    this.check = check;
  }
}

class FormatNamespace {}

const labelValue = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;
const prefixOf =
  (check: Check): Check =>
  (text) =>
    check(text.endsWith('-') ? `${text.slice(0, -1)}a` : text);
const known =
  (format: string, problem: string): Check =>
  (text) =>
    matchesFormat(text, format) ? undefined : problem;

const dns1123Label: Check = (t) => nameProblem(t, 'label');
const dns1123Subdomain: Check = (t) => nameProblem(t, 'subdomain');
const dns1035Label: Check = (t) => nameProblem(t, 'label1035');

const formats: Readonly<Record<string, NamedFormat>> = {
  dns1123Label: new NamedFormat(dns1123Label),
  dns1123Subdomain: new NamedFormat(dns1123Subdomain),
  dns1035Label: new NamedFormat(dns1035Label),
  qualifiedName: new NamedFormat(keyProblem),
  dns1123LabelPrefix: new NamedFormat(prefixOf(dns1123Label)),
  dns1123SubdomainPrefix: new NamedFormat(prefixOf(dns1123Subdomain)),
  dns1035LabelPrefix: new NamedFormat(prefixOf(dns1035Label)),
  labelValue: new NamedFormat((t) =>
    t.length > 63
      ? 'must be no more than 63 characters'
      : labelValue.test(t)
        ? undefined
        : "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
  ),
  uri: new NamedFormat(known('uri', 'must be a valid URI')),
  uuid: new NamedFormat(known('uuid', 'does not match the UUID format')),
  byte: new NamedFormat(known('byte', 'invalid base64')),
  date: new NamedFormat(known('date', 'invalid date')),
  datetime: new NamedFormat(known('date-time', 'invalid datetime')),
};

/** Kubernetes' `format` functions: `format.dns1123Label().validate(text)`. */
export function registerFormats(environment: Environment): void {
  environment.registerType('kubernetes.NamedFormat', { ctor: NamedFormat, fields: {} });
  environment.registerType('kubernetes.Formats', { ctor: FormatNamespace, fields: {} });
  environment.registerConstant('format', 'kubernetes.Formats', new FormatNamespace());
  // An optional is never null; rules in use compare them all the same, which type checks in cel-go.
  environment.registerOperator('optional<list<string>> == null', () => false);
  define(environment, {
    'kubernetes.Formats.named(string): optional<kubernetes.NamedFormat>': (_ns: unknown, name: string) =>
      Optional.of(Object.hasOwn(formats, name) ? formats[name] : undefined),
    'kubernetes.NamedFormat.validate(string): optional<list<string>>': (
      { check }: NamedFormat,
      text: string,
    ) => {
      const problem = check(text);
      return problem === undefined ? Optional.none() : Optional.of([problem]);
    },
    ...Object.fromEntries(
      Object.entries(formats).map(([name, format]) => [
        `kubernetes.Formats.${name}(): kubernetes.NamedFormat`,
        () => format,
      ]),
    ),
  });
}
