"""A chat as the server goes about it: checks, loading, cutting, and then what the policy says."""

from collections.abc import Iterator

from copilot.testing.ollama.answers import timestamp
from copilot.testing.ollama.counting import counted, fitting
from copilot.testing.ollama.protocol import ChatRequest, RequestError, paired
from copilot.testing.ollama.reply import OllamaReply, ReplyPolicy
from copilot.testing.ollama.runners import LoadedModel, PulledModel, Runners
from copilot.testing.ollama.script import ReplyContext, ScriptedAction, last, script

LOAD_NS = 2_000_000_000
UNBOUNDED = 1_000_000
_LEAKS_ANYHOW = frozenset({"leaked", "orphan"})


def checked(request: ChatRequest, runners: Runners) -> PulledModel:
    """The model asked for, where it can do what is asked of it."""
    if not request.model:
        raise RequestError(400, "model is required")
    if not 0 <= request.top_logprobs <= 20:
        raise RequestError(400, "top_logprobs must be between 0 and 20")
    model = runners.known(request.model)
    can = model.capabilities
    if "completion" not in can:
        raise RequestError(400, f'"{request.model}" does not support chat')
    if request.tools and "tools" not in can:
        name = f"registry.ollama.ai/library/{model.full_name}"
        raise RequestError(400, f"{name} does not support tools")
    if request.think and "thinking" not in can:
        raise RequestError(400, f'"{request.model}" does not support thinking')
    if wrong := paired(request.messages):
        raise RequestError(400, wrong)
    return model


def loading(request: ChatRequest, model: PulledModel, runners: Runners) -> list[ScriptedAction]:
    """A request without messages: loads the model, or unloads it."""
    turn = ReplyContext(request.model, timestamp(runners.now()), False, False, 0, 0, 0)
    if request.keep_alive in (0, "0"):
        runners.unload(model)
        return [last(turn, 0, "unload")]
    runners.load(model, request.options, request.keep_alive, shift=request.shift)
    return [last(turn, 0, "load")]


def fitted(request: ChatRequest, loaded: LoadedModel, *, obeys: bool) -> ChatRequest:
    """The request with the messages that the model gets to see."""
    cost = counted(request.messages)
    if cost <= loaded.context:
        return request
    if obeys and not request.truncate:
        raise RequestError(
            400,
            f"request ({cost} tokens) exceeds the available context size ({loaded.context} "
            "tokens), try increasing it",
        )
    return request.model_copy(update={"messages": fitting(request.messages, loaded.context)})


def answered(
    request: ChatRequest, loaded: LoadedModel, fresh: bool, policy: ReplyPolicy
) -> Iterator[ScriptedAction]:
    """What is written for a chat; `request` is already cut to what fits."""
    reply = policy(request)
    yield from script(reply, _turn(request, loaded, fresh, reply))


def _turn(
    request: ChatRequest, loaded: LoadedModel, fresh: bool, reply: OllamaReply
) -> ReplyContext:
    thinks = "thinking" in loaded.pulled.capabilities and request.think is not False
    prompt = counted(request.messages)
    wanted = request.options.num_predict
    room = wanted if wanted is not None and wanted >= 0 else UNBOUNDED
    if not request.shift:
        room = min(room, max(1, loaded.context - prompt))
    slow = int(reply.wait_s * 1e9) if reply.scenario == "slow_load" else 0
    return ReplyContext(
        model=request.model,
        created_at=timestamp(loaded.expires_at - loaded.keep_s)
        if loaded.keep_s != float("inf")
        else "2026-11-25T14:02:00Z",
        thinks=thinks,
        leaks=loaded.pulled.thinks_always and request.think is False,
        prompt_tokens=prompt,
        room=room,
        load_ns=slow or (LOAD_NS if fresh else 0),
    )
