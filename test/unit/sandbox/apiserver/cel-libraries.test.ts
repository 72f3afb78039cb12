import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CostBudget, CostExceeded } from '#sandbox/apiserver/cel/budget.js';
import { newEnvironment } from '#sandbox/apiserver/cel/environment.js';
import { CompileProblem, compileExpression, EvaluationFailure } from '#sandbox/apiserver/cel/expression.js';
import { prepareSource, withOriginals } from '#sandbox/apiserver/cel/source.js';
import { celValue } from '#sandbox/apiserver/cel/values.js';
import type { Json } from '#sandbox/base/json.js';

const environment = newEnvironment().registerVariable('self', 'dyn');

function compiled(expression: string) {
  const program = compileExpression(environment, expression);
  if (program instanceof CompileProblem) throw program;
  return program;
}

const standIns = (text: string): string => prepareSource(text).text;

const evaluate = (expression: string, self: Json = {}): unknown =>
  compiled(expression).evaluate({ self: celValue(self, undefined) }, new CostBudget());

/** Expressions of Kubernetes' documentation and of cel-go's conformance tests that must be true. */
const truths: readonly string[] = [
  // lists
  '[1, 2, 3].isSorted() && ![2, 1].isSorted() && ["a", "b"].isSorted()',
  '[1, 3].sum() == 4 && [1.5, 2.5].sum() == 4.0 && [].sum() == 0',
  '[1, 3].max() == 3 && ["b", "a"].min() == "a"',
  '[1, 2, 2, 3].indexOf(2) == 1 && [1, 2, 2, 3].lastIndexOf(2) == 2 && [1].indexOf(5) == -1',
  'sets.contains([1, 2], [2]) && sets.equivalent([1, 1, 2], [2, 1]) && !sets.intersects([1], [2])',
  // regular expressions
  '"abc 123".find("[0-9]+") == "123" && "abc".find("[0-9]") == ""',
  '"1 2 3".findAll("[0-9]") == ["1", "2", "3"] && "1 2 3".findAll("[0-9]", 2) == ["1", "2"]',
  '"foobar".matches("^fo+") && matches("foobar", "bar$")',
  // text
  '"hello hello".replace("he", "we") == "wello wello" && "hello hello".replace("he", "we", 1) == "wello hello"',
  '"tacocat".charAt(3) == "o" && "ab".charAt(2) == ""',
  '"%s is %d, %.2f, %x, %X, %b, %o, %e%%".format(["x", 3, 2.5, 255, "é", 5, 8, 1200.0]) == "x is 3, 2.50, ff, C3A9, 101, 10, 1.200000e+03%"',
  '"%s %s %s".format([[1, "a"], {"k": true}, null]) == "[1, a] {k: true} null"',
  'strings.quote(\'a"b\') == \'"a\\\\"b"\'',
  // URLs
  'isURL("https://user@example.com:80/path?k=v&k=w&l") && !isURL("../relative") && isURL("/absolute") && !isURL("")',
  'url("https://example.com:80/a%20b?k=v").getPort() == "80" && url("https://example.com:80/a%20b").getEscapedPath() == "/a%20b"',
  'url("https://[::1]:80/").getHostname() == "::1" && url("https://[::1]:80/").getHost() == "[::1]:80"',
  'url("https://a/?k=v&k=w&l=").getQuery() == {"k": ["v", "w"], "l": [""]} && url("/a").getScheme() == ""',
  // addresses
  'isIP("127.0.0.1") && isIP("::1") && !isIP("127.0.0.256") && !isIP("::ffff:1.2.3.4") && !isIP("fe80::1%eth0")',
  'ip("192.168.0.1").family() == 4 && ip("::1").family() == 6 && ip("127.0.0.1").isLoopback()',
  'ip.isCanonical("2001:db8::abcd") && !ip.isCanonical("2001:DB8::ABCD") && ip("2001:db8::0") == ip("2001:db8::")',
  'ip("0.0.0.0").isUnspecified() && ip("224.0.0.1").isLinkLocalMulticast() && ip("fe80::1").isLinkLocalUnicast()',
  'ip("192.168.0.1").isGlobalUnicast() && !ip("255.255.255.255").isGlobalUnicast()',
  'cidr("192.168.0.0/24").containsIP("192.168.0.255") && !cidr("192.168.0.0/24").containsIP(ip("192.168.1.0"))',
  'cidr("10.0.0.0/8").containsCIDR("10.1.0.0/16") && !cidr("10.1.0.0/16").containsCIDR(cidr("10.0.0.0/8"))',
  'cidr("192.168.1.7/24").masked() == cidr("192.168.1.0/24") && cidr("::1/128").prefixLength() == 128',
  'string(cidr("10.0.0.1/8")) == "10.0.0.1/8" && cidr("10.0.0.1/8").ip() == ip("10.0.0.1") && !isCIDR("10.0.0.1")',
  // quantities
  'isQuantity("1.5G") && !isQuantity("1 G") && quantity("50k") == quantity("50000") && quantity("0.1").add(quantity("0.2")) == quantity("300m")',
  'quantity("1Gi").isGreaterThan(quantity("1G")) && quantity("1").compareTo(quantity("2")) == -1 && quantity("5").sub(2) == quantity("3")',
  'quantity("3").isInteger() && !quantity("300m").isInteger() && quantity("3").asInteger() == 3 && quantity("-2").sign() == -1',
  // formats
  'format.dns1123Label().validate("abc") == optional.none() && format.dns1123Label().validate("A").hasValue()',
  'format.named("uri").hasValue() && !format.named("none").hasValue() && format.labelValue().validate("a b").hasValue()',
  // optional values, time
  'self.?a.orValue(3) == 3 && !has(self.a) && self[?"b"] == optional.none()',
  '[1, ?optional.none(), ?optional.of(2), ?self.?a] == [1, 2]',
  '{"a": 1, ?"b": optional.none(), ?"c": optional.of(3)} == {"a": 1, "c": 3} && {?"x" + "y": self.?z}.size() == 0',
  '[?self.?a.hasValue() ? self.?a : optional.of(7), [1, 2][?0].orValue(9), 3] == [7, 1, 3]',
  '[1, 2].map(x, [?optional.of(x), ?optional.none()]) == [[1], [2]] && 1 in [?optional.of(1)]',
  '[true ? 1 : 2, [3, 4][1]] == [1, 4] && [!true, false ? true : !false] == [false, true]',
  'optional.of(2).optMap(x, x * 2) == optional.of(4) && optional.none().optMap(x, x) == optional.none()',
  'string(timestamp("2024-01-02T03:04:05Z")) == "2024-01-02T03:04:05Z" && int(timestamp("1970-01-01T00:01:00Z")) == 60',
  'has({"a": [{"b": 1}]}.a[0].b) && !has({"a": [{"b": 1}]}.a[0].c)',
];

describe('CEL', () => {
  test.each(truths)('%s', (expression) => {
    expect(evaluate(expression)).toBe(true);
  });

  test('hostile keys are only data', () => {
    const self = JSON.parse('{"__proto__": {"x": 1}, "constructor": 2, "toString": 3}') as Json;
    expect(evaluate('self.constructor == 2 && self.toString == 3 && !("hasOwnProperty" in self)', self)).toBe(
      true,
    );
    expect(() => evaluate('self.valueOf', self)).toThrow(EvaluationFailure);
  });

  test('evaluations are bounded in cost, whatever swallows errors', () => {
    const list = Array.from({ length: 400 }, (_, i) => i);
    const nested = 'self.all(a, self.all(b, self.all(c, a + b + c >= 0)))';
    expect(() => evaluate(nested, list)).toThrow(CostExceeded);
    expect(() => evaluate(`${nested} || true`, list)).toThrow(CostExceeded);
    expect(() => evaluate(`!(${nested} && false)`, list)).toThrow(CostExceeded);
    // Doubling thirty times would need gigabytes.
    let doubled = 'self';
    for (let i = 0; i < 30; i++) doubled = `cel.bind(x${i}, ${doubled}, x${i} + x${i})`;
    expect(() => evaluate(doubled, list)).toThrow(CostExceeded);
    // With a backtracking matcher this would not end.
    expect(evaluate('self.matches("^(a+)+$")', `${'a'.repeat(5000)}!`)).toBe(false);
  });

  test('problems are told where they are', () => {
    const problem = (expression: string): string => {
      const program = compileExpression(environment, expression, 'bool');
      return program instanceof CompileProblem ? program.message : 'none';
    };
    expect(problem('self.x &&\n  nothing')).toBe(
      "compilation failed: ERROR: <input>:2:3: undeclared reference to 'nothing' (in container '')\n |   nothing\n | ..^",
    );
    expect(problem('"a" + 1 == 2')).toContain(
      "found no matching overload for '_+_' applied to '(string, int)'",
    );
    expect(problem('"a".matches(1)')).toContain(
      "found no matching overload for 'matches' applied to 'string.(int)'",
    );
    expect(problem('1 + 1')).toBe('must evaluate to bool but got int');
    expect(problem('has(self)')).toContain('invalid argument to has() macro');
  });

  test('stand-ins keep positions, strings and comments', () => {
    expect(standIns('has(a.b) && "has(x)" != r"\\" && x.matches ("y") // has(z)')).toBe(
      'hAs(a.b) && "has(x)" != r"\\" && x.mAtches ("y") // has(z)',
    );
    expect(standIns('self.has == hash(has)')).toBe('self.has == hash(has)');
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[[\]{}(),?!: "a]*$/)), (text) => {
        const { text: changed, optionalElements } = prepareSource(text);
        expect(changed).toHaveLength(text.length);
        for (const at of optionalElements) expect(text[at] + (changed[at] ?? '')).toBe('?!');
        const back = changed.split('').map((char, at) => (optionalElements.has(at) ? '?' : char));
        if (!/hAs|mAtches/.test(text)) expect(withOriginals(back.join(''))).toBe(text);
      }),
    );
  });
});
