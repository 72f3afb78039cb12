import {
  type Answer,
  AUTHORITATIVE_ANSWER,
  decode,
  encode,
  type OptAnswer,
  type Packet,
  type Question,
} from 'dns-packet';
import {
  addressOfReverse,
  lookupInCluster,
  lookupReverse,
  type Lookup,
  type RecordData,
  type ZoneSource,
} from './records.js';

/** Seconds a client may keep an answer; short, because endpoints move. */
const ttlSeconds = 5;
/** An alias is followed inside the cluster at most this often. */
const aliasesMax = 8;
const udpDefaultMaxBytes = 512;
/** Larger UDP answers would be fragmented (DNS flag day 2020). */
const udpMaxBytes = 1232;
const tcpMaxBytes = 65_535;
const truncated = 1 << 9;
const recursionDesired = 1 << 8;
const opcodeQuery = 0;

const rcodes = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  nameError: 3,
  notImplemented: 4,
  refused: 5,
  /** Extended: the low bits go into the header, the high ones into the OPT record. */
  badVersion: 16,
} as const;

/** RFC 8914: why an answer is what it is, for people who look with dig. */
const extendedError = { option: 15, notAuthoritative: 20 } as const;
const notOurs = {
  code: extendedError.option,
  data: Buffer.concat([
    Buffer.from([0, extendedError.notAuthoritative]),
    Buffer.from('this sandbox resolves names of the cluster only'),
  ]),
  // The library writes any option with data; its types know only some.
} as unknown as PacketOpt;

/** The query type that asks for every record; the library's types do not list it. */
const anyType: string = 'ANY';

/** Answers one DNS message; undefined when the bytes are not a query and nothing should be sent. */
export function respond(
  message: Buffer,
  o: { readonly domain: string; readonly source: ZoneSource; readonly isTcp: boolean },
): Buffer | undefined {
  let query: Packet;
  try {
    query = decode(message);
  } catch {
    return malformed(message);
  }
  if (query.type !== 'query') return undefined;
  const edns = query.additionals?.find((each) => each.type === 'OPT');
  const limit = o.isTcp
    ? tcpMaxBytes
    : edns === undefined
      ? udpDefaultMaxBytes
      : Math.min(Math.max(edns.udpPayloadSize, udpDefaultMaxBytes), udpMaxBytes);
  const [question] = query.questions ?? [];
  const base = { id: query.id ?? 0, questions: query.questions ?? [] };
  const opt = (options: PacketOpt[] = [], rcode = 0): { additionals?: Answer[] } =>
    edns === undefined ? {} : { additionals: [optRecord(options, rcode)] };
  const flagsIn = query.flags ?? 0;
  const keep = flagsIn & recursionDesired;
  const isQuery = ((flagsIn >> 11) & 0xf) === opcodeQuery;
  if (!isQuery || question === undefined || (query.questions ?? []).length !== 1) {
    const code = isQuery ? rcodes.formatError : rcodes.notImplemented;
    return encodeReply({ ...base, ...opt(), flags: keep | code });
  }
  if (edns !== undefined && edns.ednsVersion !== 0)
    return encodeReply({ ...base, ...opt([], rcodes.badVersion), flags: keep | (rcodes.badVersion & 0xf) });
  const result = answer(question, o.domain.toLowerCase(), o.source);
  const flags = keep | (result.isAuthoritative ? AUTHORITATIVE_ANSWER : 0) | result.rcode;
  const reply = encodeReply({
    ...base,
    ...opt(result.isOutside === true ? [notOurs] : []),
    flags,
    answers: result.answers,
    authorities: result.authorities,
  });
  if (reply.length <= limit) return reply;
  // The client asks again over TCP.
  return encodeReply({ ...base, ...opt(), flags: flags | truncated });
}

interface Result {
  readonly rcode: number;
  readonly isAuthoritative: boolean;
  readonly answers: Answer[];
  readonly authorities: Answer[];
  /** The name is in no zone of the cluster. */
  readonly isOutside?: boolean;
}

/** A part of the OPT record. */
type PacketOpt = OptAnswer['options'][number];

function optRecord(options: PacketOpt[], rcode: number): OptAnswer {
  const highBits = rcode >> 4;
  return {
    type: 'OPT',
    name: '.',
    udpPayloadSize: udpMaxBytes,
    extendedRcode: highBits,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options,
  };
}

function answer(question: Question, domain: string, source: ZoneSource): Result {
  // Case is kept in the answer (some resolvers check it) but does not matter for the lookup.
  const name = question.name.toLowerCase().replace(/\.$/, '');
  if (question.class !== undefined && question.class !== 'IN' && question.class !== 'ANY') return refused();
  const reverse = addressOfReverse(name);
  if (reverse !== undefined) return reverseAnswer(question, name, domain, source);
  if (name !== domain && !name.endsWith(`.${domain}`)) return outside();
  const answers: Answer[] = [];
  let owner = question.name;
  let lookup: Lookup = lookupInCluster(name, domain, source);
  for (let hop = 0; hop < aliasesMax && lookup.isKnown; hop++) {
    const alias = lookup.records.find((record) => record.type === 'CNAME');
    if (alias?.type !== 'CNAME' || question.type === 'CNAME') break;
    answers.push(toAnswer(owner, alias));
    owner = alias.data;
    const target = owner.toLowerCase();
    // Names outside the cluster are for the client's other resolvers.
    if (!target.endsWith(`.${domain}`))
      return { rcode: rcodes.noError, isAuthoritative: true, answers, authorities: [] };
    lookup = lookupInCluster(target, domain, source);
  }
  if (!lookup.isKnown) {
    return {
      rcode: answers.length > 0 ? rcodes.noError : rcodes.nameError,
      isAuthoritative: true,
      answers,
      authorities: [soa(domain)],
    };
  }
  if (name === domain && (question.type === 'SOA' || question.type === anyType)) answers.push(soa(domain));
  for (const record of lookup.records) {
    if (record.type === question.type || question.type === anyType) answers.push(toAnswer(owner, record));
  }
  shuffle(answers);
  return {
    rcode: rcodes.noError,
    isAuthoritative: true,
    answers,
    authorities: answers.length === 0 ? [soa(domain)] : [],
  };
}

function reverseAnswer(question: Question, name: string, domain: string, source: ZoneSource): Result {
  const lookup = lookupReverse(name, domain, source);
  // Addresses that are not the cluster's belong to somebody else's zone.
  if (!lookup.isKnown) return outside();
  const answers = lookup.records
    .filter((record) => record.type === question.type || question.type === anyType)
    .map((record) => toAnswer(question.name, record));
  return { rcode: rcodes.noError, isAuthoritative: true, answers, authorities: [] };
}

/**
 * Names of the wide world are not resolved here, and nobody else could be asked: they do
 * not exist. Some resolver libraries would wait and repeat after REFUSED or SERVFAIL.
 */
function outside(): Result {
  return {
    rcode: rcodes.nameError,
    isAuthoritative: false,
    answers: [],
    authorities: [soa('.')],
    isOutside: true,
  };
}

/** Callers take the first address: each endpoint of a headless service has its turn. Aliases stay in front. */
function shuffle(answers: Answer[]): void {
  const first = answers.findIndex((answer) => answer.type !== 'CNAME');
  for (let i = answers.length - 1; first >= 0 && i > first; i--) {
    const j = first + Math.floor(Math.random() * (i - first + 1));
    const [a, b] = [answers[i], answers[j]];
    if (a !== undefined && b !== undefined) [answers[i], answers[j]] = [b, a];
  }
}

function refused(): Result {
  return { rcode: rcodes.refused, isAuthoritative: false, answers: [], authorities: [] };
}

function toAnswer(name: string, record: RecordData): Answer {
  const head = { name, ttl: ttlSeconds, class: 'IN' as const };
  if (record.type === 'SRV') return { ...head, type: 'SRV', data: { ...record.data } };
  if (record.type === 'TXT') return { ...head, type: 'TXT', data: record.data };
  return { ...head, type: record.type, data: record.data };
}

function soa(domain: string): Answer {
  return {
    name: domain,
    type: 'SOA',
    class: 'IN',
    ttl: ttlSeconds,
    data: {
      mname: domain === '.' ? 'ns.dns.invalid' : `ns.dns.${domain}`,
      rname: domain === '.' ? 'hostmaster.invalid' : `hostmaster.${domain}`,
      serial: Math.floor(Date.now() / 1000),
      refresh: 7200,
      retry: 1800,
      expire: 86_400,
      minimum: ttlSeconds,
    },
  };
}

function encodeReply(packet: Packet): Buffer {
  return encode({ ...packet, type: 'response' });
}

/** FORMERR for bytes that begin like a query; silence for anything else, so that two servers never argue. */
function malformed(message: Buffer): Buffer | undefined {
  const headerBytes = 12;
  if (message.length < headerBytes || (message.readUInt8(2) & 0x80) !== 0) return undefined;
  const reply = Buffer.alloc(headerBytes);
  reply.writeUInt16BE(message.readUInt16BE(0), 0);
  reply.writeUInt16BE(0x8000 | rcodes.formatError, 2);
  return reply;
}
