"""What Ollama's HTTP API takes, strictly: a field it does not know is a client's mistake."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class RequestError(Exception):
    """A request that the server refuses, with the status and the words of the real one."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Function(_Strict):
    """A call of a tool: its name and typed arguments."""

    name: str
    arguments: dict[str, JsonValue] = {}
    index: int = 0


class ToolCall(_Strict):
    """A call as it stands in an assistant's turn."""

    function: Function
    id: str = ""


class ChatMessage(_Strict):
    """One turn."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    thinking: str | None = None
    images: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_name: str | None = None
    tool_call_id: str | None = None


class ChatOptions(_Strict):
    """Options; those of the first group are of the loaded model, so another value loads it anew."""

    num_ctx: Annotated[int, Field(gt=0)] | None = None
    num_gpu: int | None = None
    num_batch: int | None = None
    num_thread: int | None = None
    main_gpu: int | None = None
    use_mmap: bool | None = None

    num_keep: int | None = None
    num_predict: int | None = None
    seed: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repeat_last_n: int | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: tuple[str, ...] = ()

    def loads(self) -> tuple[object, ...]:
        """What needs another load when it changes, beside the context."""
        return (self.num_gpu, self.num_batch, self.num_thread, self.main_gpu, self.use_mmap)


class ChatRequest(_Strict):
    """`POST /api/chat`."""

    model: str = ""
    messages: tuple[ChatMessage, ...] = ()
    stream: bool = True
    format: dict[str, JsonValue] | Literal["json", ""] | None = None
    keep_alive: float | str | None = None
    tools: tuple[dict[str, JsonValue], ...] = ()
    options: ChatOptions = ChatOptions()
    think: bool | Literal["low", "medium", "high", "max"] | None = None
    truncate: bool = True
    shift: bool = True
    logprobs: bool = False
    top_logprobs: int = 0

    @property
    def schema_asked(self) -> dict[str, JsonValue] | None:
        """The JSON schema that the reply has to satisfy."""
        return self.format if isinstance(self.format, dict) else None

    @property
    def said(self) -> str:
        """Every message, one under the other."""
        return "\n".join(message.content for message in self.messages)


class GenerateRequest(_Strict):
    """`POST /api/generate`, of which only loading and unloading is served."""

    model: str = ""
    prompt: str = ""
    stream: bool = True
    options: ChatOptions = ChatOptions()
    keep_alive: float | str | None = None
    truncate: bool = True
    shift: bool = True


class EmbedRequest(_Strict):
    """`POST /api/embed`."""

    model: str = ""
    input: str | tuple[str, ...] = ()
    truncate: bool = True
    dimensions: int = 0
    options: ChatOptions = ChatOptions()
    keep_alive: float | str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """What is embedded."""
        return (self.input,) if isinstance(self.input, str) else self.input


class ShowRequest(_Strict):
    """`POST /api/show`."""

    model: str = ""
    verbose: bool = False


def paired(messages: tuple[ChatMessage, ...]) -> str:
    """What is wrong with the results of tools in a conversation; empty when nothing is."""
    called = False
    for number, message in enumerate(messages):
        if message.role == "tool" and not called:
            return f"message {number} is the result of a tool that nobody called"
        called = bool(message.tool_calls) or (called and message.role == "tool")
    return ""
