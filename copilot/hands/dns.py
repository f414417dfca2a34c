"""Switch the records of a DNS name by dynamic update, signed, at the zone's primary server.

Source: RFC 2136 (2.4.2: the record set exists with these values, which the server checks together
with the update; 3.4.2.2: what a CNAME forbids is left out in silence), RFC 8945 (TSIG).
Importing this module needs the optional extra `dns`.
"""

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.update
from pydantic import JsonValue

from copilot.hands.report import StepFailedError
from copilot.hands.switch import DnsRecord, SwitchConflictError, SwitchPosition

TIMEOUT_S = 5.0
MOST_VALUES = 64
_CHANGED = frozenset({dns.rcode.NXRRSET, dns.rcode.YXRRSET, dns.rcode.NXDOMAIN})
"""What a server answers where a prerequisite does not hold (RFC 2136, 2.2)."""


class DnsRecordSet:
    """One record set; its TTL stays what it is, so that the way back restores all of it."""

    def __init__(self, record: DnsRecord, secret: str) -> None:
        self._record = record
        try:
            self._key = dns.tsig.Key(record.key, secret, f"{record.algorithm}.")
            self._zone = dns.name.from_text(record.zone)
            self._name = dns.name.from_text(record.name, self._zone)
        except (dns.exception.DNSException, ValueError) as error:
            raise StepFailedError(f"{record.told}: {type(error).__name__}") from None
        if not self._name.is_subdomain(self._zone):
            raise StepFailedError(f"{record.told}: the name is not in the zone")

    def position(self) -> SwitchPosition:
        """The values that the server itself has, not what a resolver keeps."""
        question = dns.message.make_query(self._name, self._record.type)
        question.flags &= ~dns.flags.RD
        answer = self._ask(question)
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise self._refusal(answer)
        if not answer.flags & dns.flags.AA:
            raise StepFailedError(f"{self._record.told}: the server is not the zone's own")
        found = self._set_of(answer)
        if found is None:
            return SwitchPosition([])
        notice = f"resolvers may answer the old values for {found.ttl} s more"
        values: list[JsonValue] = sorted(one.to_text(origin=None) for one in found)
        return SwitchPosition(values, found.ttl, notice)

    def holds(self, value: JsonValue, state: JsonValue) -> bool:
        """The same values, in whatever order and spelling."""
        return self._values(value) == self._values(state)

    def move(self, at: SwitchPosition, state: JsonValue) -> None:
        """Replace the set, on the condition that it is the one that was read."""
        answer = self._ask(self._update(at, state, change=True))
        if answer.rcode() in _CHANGED:
            raise SwitchConflictError(f"{self._record.told} was changed meanwhile")
        if answer.rcode() != dns.rcode.NOERROR:
            raise self._refusal(answer)

    def forbidden(self, at: SwitchPosition, state: JsonValue) -> str:
        """Ask for what is not there to be taken away: nothing changes, and rights are checked."""
        try:
            answer = self._ask(self._update(at, state, change=False))
        except StepFailedError as error:
            return str(error)
        return "" if answer.rcode() == dns.rcode.NOERROR else str(self._refusal(answer))

    def _update(
        self, at: SwitchPosition, state: JsonValue, *, change: bool
    ) -> dns.update.UpdateMessage:
        ttl = at.version
        if not isinstance(ttl, int) or not 0 < ttl <= self._record.most_ttl_s:
            most = f"at most {self._record.most_ttl_s} s (most_ttl_s) may be"
            raise StepFailedError(f"{self._record.told} is kept for {ttl} s by resolvers; {most}")
        update = dns.update.UpdateMessage(self._zone)
        update.present(self._name, *self._values(at.value))
        wanted = self._values(state)
        if change:
            update.replace(self._name, ttl, *wanted)
        elif absent := wanted - self._values(at.value):
            update.delete(self._name, *absent)
        return update

    def _values(self, state: JsonValue) -> frozenset[dns.rdata.Rdata]:
        """The values as records; `StepFailedError` for what is none of the type."""
        texts = state if isinstance(state, list) else [state]
        kind = dns.rdatatype.from_text(self._record.type)
        try:
            if len(texts) > MOST_VALUES or (kind == dns.rdatatype.CNAME and len(texts) > 1):
                raise ValueError(f"{len(texts)} values are too many")
            if any("\n" in str(text) for text in texts):  # the reader would stop there in silence
                raise ValueError("a value is one line")
            return frozenset(
                dns.rdata.from_text(dns.rdataclass.IN, kind, str(text), self._zone, False)
                for text in texts
            )
        except (dns.exception.DNSException, ValueError) as error:
            raise StepFailedError(f"{self._record.told}: {state!r}: {error}") from error

    def _ask(self, message: dns.message.Message) -> dns.message.Message:
        message.use_tsig(self._key)
        where, port = self._record.server, self._record.port
        try:
            return dns.query.tcp(message, where, timeout=TIMEOUT_S, port=port)
        except (OSError, EOFError, dns.exception.DNSException) as error:
            problem = f"{type(error).__name__}: {error}"
            raise StepFailedError(f"{self._record.told} is not reached: {problem}") from error

    def _set_of(self, answer: dns.message.Message) -> dns.rrset.RRset | None:
        kind = dns.rdatatype.from_text(self._record.type)
        for found in answer.answer:
            if found.name == self._name and found.rdtype == kind:
                return found
        return None

    def _refusal(self, answer: dns.message.Message) -> StepFailedError:
        said = dns.rcode.to_text(answer.rcode())
        return StepFailedError(f"{self._record.told}: the server answers {said}")
