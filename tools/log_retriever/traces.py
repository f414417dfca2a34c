"""The grammar of stack traces: what their lines look like, by language.

Each pattern reads the start of one line and takes linear time. Sources: the runtimes' own formats
(JDK `Throwable.printStackTrace`, CPython `traceback`, Go `runtime/traceback.go`, V8's stack trace
API, .NET `Exception.ToString`, Rust `std::panic`, PHP `Exception::getTraceAsString`, Ruby
`Exception#full_message`).
"""

import re

_AT = (
    r"at (?:(?:async |new |static )?(?!\d)[^\s(]{1,300}\("  # Java, .NET, …: at a.b.C.d(
    r"|(?:async |new |static )?[^()\n]{1,300} "  # Node: at Object.run [as x] (/a/b.js:1:2)
    r"\((?:[^()\n]{0,300}:\d+|<anonymous>|native|index \d+)\)"
    r"|(?=[^\s()]{0,300}[/.\\])(?:async )?[^\s()]{1,300}:\d+(?::\d+)?\)?$)"  # at /a/b.js:1:2
)
_CAUSE = (
    r"(?:Caused by|Suppressed|Wrapped by): |\[cause\]: "
    r"|---> (?:\(Inner Exception #\d+\) )?[A-Za-z_][\w.+`]{0,300}: "
)
PYTHON_FRAME = re.compile(r"[\s|+]*File \"[^\"\n]{1,500}\", line \d+")
PYTHON_OPENS = re.compile(r"[\s|+]*(?:Exception Group )?Traceback \(most recent call last\)")
PYTHON_CHAIN = re.compile(r"\s*(?:During handling of the above|The above exception was the direct)")
RAIL = re.compile(r"^ +[|+](?:[-+]{2,80}(?: \d+ -+)?$| ?)")
"""What stands before the lines of an exception group."""

GO_DUMP = re.compile(
    r"\s*(?:panic: |fatal error: |goroutine \d{1,12} (?:[^\[\n]{0,80})\[|runtime stack:$)"
)
GO_LINE = re.compile(
    r"[\w./\-%*$]{1,300}[\w.()*\[\]{}·$,/\-]{0,300}\(.{0,1000}\)$"
    r"|created by \S{1,300}(?: in goroutine \d+)?$"
    r"|r\w{1,6} {1,8}0x[0-9a-f]+$|exit status \d+$|\[signal |\[originating from |runtime stack:$"
)
_FRAME = (
    rf"(?:{_AT}|{_CAUSE}|\.{{3}} \d+ (?:more|common frames)|--- End of (?:inner|stack)"
    r"|File \"[^\"\n]{1,500}\", line \d+"
    r"|(?:During handling of the above|The above exception was the direct)"
    r"|goroutine \d{1,12} (?:[^\[\n]{0,80})\["
    r"|note: run with `RUST_BACKTRACE|stack backtrace:$"
    r"|(?:PHP )?Stack trace:$|#\d{1,4} (?:\S{1,500}\(\d+\): |\{main\}|\[internal function\])"
    r"|PHP {1,8}\d{1,4}\. |thrown in .{1,500} on line \d+$"
    r"|(?:from )?[^\s:]{1,500}\.rb:\d+:in [`'][^'\n]{0,300}'$)"
)
FRAME = re.compile(rf"\s*{_FRAME}")
"""A line that belongs to a trace wherever it stands, and to the line before it."""

CAUSED = re.compile(r"Caused by: |\s*---> |\s*\[cause\]: ")
"""A cause of the exception itself; those of suppressed ones are indented."""

CARETS = re.compile(r"[\^~ ]+$")
CONTINUES = re.compile(r"[ \t]+\S|\s*$|[)}\]]{1,8}[;,]?$|Node\.js v[\d.]+$")
"""A line without header that goes on with the one before it."""

RAISED = re.compile(
    r"(?:Exception in thread \"[^\"\n]{0,200}\" |(?:Unhandled exception[.:]|Uncaught) )?"
    r"(?:[A-Za-z_$][\w$]{0,200}[.:\\/]{1,2}){0,20}"
    r"(?:[\w$]{0,200}(?:Error|Exception|Throwable|Failure|Interrupt|Exit|Fault)\b"
    r"|(?<=[\w$]\.)[A-Z][\w$]{0,200}(?=:|$))"
)
"""A line that names what was raised: a class of error, or a qualified class."""

OPENS = re.compile(
    r"Exception in thread \"|Unhandled exception|Uncaught |panic: |fatal error: "
    r"|thread '[^'\n]{0,200}' (?:\(\d+\) )?panicked at |(?:PHP )?(?:Fatal|Parse) error: "
    r"|[^\s:]{1,500}\.rb:\d+:in [`'][^'\n]{0,300}': "
)
"""A line that begins a trace nothing was logged before."""

PANICKED = re.compile(r"thread '[^'\n]{0,200}' (?:\(\d+\) )?panicked at \S{1,500}:$")
"""Rust: the next line says why."""

WITHIN = re.compile(
    rf"(?<=[\s:|\]>-])(?P<part>{_FRAME}|(?:Exception Group )?Traceback \(most recent call last\)"
    rf"|panic: |fatal error: |{OPENS.pattern})"
)
"""A part of a trace behind what a logger, a runtime or a shipper put before the line."""

_WORDS = (
    *("at ", "Caused by: ", "Suppressed: ", "Wrapped by: ", "---> ", "[cause]: ", "... "),
    *('File "', "Traceback (", "During handling", "The above exc", "goroutine ", "created by "),
    *("panic: ", "atal error: ", "panicked at ", "note: run with", "stack backtrace:"),
    *("Stack trace:", "#", "PHP  ", "thrown in ", ".rb:", "--- End of", "Node.js v", ".go:", ".s:"),
    *("Unhandled exception", "Uncaught ", "Exception in thread"),
)
_CONTINUING = tuple(" \t)}]")


def traced(text: str) -> bool:
    """Whether a stream with this line may hold a trace; cheap: a word of each language's frames."""
    return (
        not text
        or text.startswith(_CONTINUING)
        or ("at " in text and ("(" in text or ":" in text))
        or 'File "' in text
        or "goroutine " in text
        or "#0 " in text
        or ".rb:" in text
        or "note: run with" in text
    )


def hinted(start: str) -> bool:
    """Whether a line may be part of a trace."""
    if not start or start.startswith(_CONTINUING):
        return True
    return any(map(start.__contains__, _WORDS)) and _HINT.search(start) is not None


_HINT = re.compile(
    rf"(?:^|[\s:|\]])(?:{_AT}|{_CAUSE}"
    r"|\.{3} \d+ (?:more|common)|File \"|Traceback \(most|During handling of|The above exception"
    r"|goroutine \d|created by |panic: |fatal error: |panicked at |note: run with|stack backtrace:"
    r"|Stack trace:|#\d{1,4} |PHP  |thrown in |from \S+:\d+:in|--- End of|Node\.js v)"
    r"|\.(?:go|s|rb):\d+"
)
