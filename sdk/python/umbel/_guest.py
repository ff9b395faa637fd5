"""Makes a component's exports of an author's module: used by what `umbel build` writes, by nobody else."""

# What the component's imports give has no types here.
# mypy: disable-error-code="no-any-return,import-not-found"

import inspect
import traceback
from types import ModuleType, SimpleNamespace
from typing import Any, Callable, Optional

from componentize_py_types import Err

from umbel import _host, _log
from umbel._endings import Ending, Failure, Ignore, Reject, Retry, cause_of, data_of, kind_of, message_of
from umbel._shapes import lifter, lowerer
from umbel._values import dumps, milliseconds


class Mismatch(Exception):
    """The module is not what its WIT says."""


class Worker:
    """The worker through the component's imports; those that its world lacks are none."""

    def __init__(self, context: Any, progress: Any, log: Any, tasks: Any) -> None:
        self._imports = {"context": context, "progress": progress, "log": log, "tasks": tasks}
        self.logs = log is not None

    def current(self) -> Any:
        return self._import("context").current()

    def remaining_ms(self) -> int:
        return self._import("context").remaining_ms()

    def soft_remaining_ms(self) -> Optional[int]:
        return self._import("context").soft_remaining_ms()

    def take_soft_limit(self) -> None:
        self._import("context").take_soft_limit()

    def progress(self, state: str, meta: str) -> None:
        self._import("progress").update(state, meta)

    def log(self, level: int, message: str, fields: str) -> None:
        self._import("log").write(SimpleNamespace(value=level), message, fields)

    def submit(self, name: str, args: str, kwargs: str, options: Any) -> str:
        return self._sent("submit", name, args, kwargs, options)

    def apply(self, signature: str, args: str) -> str:
        return self._sent("apply", signature, args)

    def replace(self, signature: str) -> None:
        self._sent("replace", signature)

    def add_to_chord(self, signature: str) -> str:
        return self._sent("add_to_chord", signature)

    def _import(self, name: str) -> Any:
        found = self._imports[name]
        if found is None:
            raise RuntimeError(f"the plugin's world lacks `import umbel:task/{name}@0.1.0;`")
        return found

    def _sent(self, function: str, *args: Any) -> Any:
        send = getattr(self._import("tasks"), function)
        try:
            return send(*args)
        except Err as refused:
            case = type(refused.value).__name__.rpartition("_")[2]
            raised = {"Denied": PermissionError, "Invalid": ValueError}.get(case, RuntimeError)
            raise raised(refused.value.value) from None


def connect(worker: Worker) -> None:
    """Tasks ask this worker, and Python's logging writes to it."""
    _host.connect(worker)
    if worker.logs:
        _log.install()


def implement(base: type, module: ModuleType, functions: dict[str, Any], types: Any) -> type:
    """The exported interface `base`, made of the module's functions or of its class of that name.

    `functions` has each function's shapes, `types` the classes of `umbel:task/types`.
    """
    made = getattr(module, base.__name__, None)
    source = made() if isinstance(made, type) else module
    methods = {}
    for name, function in functions.items():
        call = _checked(getattr(source, name, None), name, function, module)
        methods[name] = (_async_method if function["async"] else _method)(call, name, function, types)
    return type(base.__name__, (base,), methods)


def _checked(call: Any, name: str, function: dict[str, Any], module: ModuleType) -> Callable[..., Any]:
    params = ", ".join(function["params"])
    if not callable(call):
        raise Mismatch(f"{module.__name__} has no function `{name}({params})`, which its WIT exports")
    try:
        inspect.signature(call).bind(*function["params"])
        return call
    except TypeError:
        has = inspect.signature(call)
        raise Mismatch(f"{module.__name__}.{name} is `{name}{has}`, but its WIT says `{name}({params})`") from None


def _method(call: Callable[..., Any], name: str, function: dict[str, Any], types: Any) -> Callable[..., Any]:
    lift, lower = _arguments(call, function), _result(name, function)

    def method(_: Any, *args: Any) -> Any:
        _host.forget()
        try:
            return lower(call(*lift(args)))
        except Exception as error:
            raise _ending(error, function["error"], types) from None

    return method


def _async_method(call: Callable[..., Any], name: str, function: dict[str, Any], types: Any) -> Callable[..., Any]:
    lift, lower = _arguments(call, function), _result(name, function)

    async def method(_: Any, *args: Any) -> Any:
        _host.forget()
        try:
            return lower(await call(*lift(args)))
        except Exception as error:
            raise _ending(error, function["error"], types) from None

    return method


def _arguments(call: Callable[..., Any], function: dict[str, Any]) -> Callable[[tuple[Any, ...]], list[Any]]:
    """What makes a call's arguments; an omitted one is its parameter's default, as in Python."""
    lifts = [lifter(shape) for shape in function["params"].values()]
    defaults = [parameter.default for parameter in inspect.signature(call).parameters.values()][: len(lifts)]
    usual = [None if default is inspect.Parameter.empty else default for default in defaults]
    usual += [None] * (len(lifts) - len(usual))

    def arguments(args: tuple[Any, ...]) -> list[Any]:
        return [usual[i] if arg is None else lift(arg) if (lift := lifts[i]) else arg for i, arg in enumerate(args)]

    return arguments


def _result(name: str, function: dict[str, Any]) -> Callable[[Any], Any]:
    shape = function["result"]
    if shape is None:
        return lambda _: None
    lower = lowerer(shape)

    def checked(value: Any) -> Any:
        try:
            return lower(value)
        except TypeError as error:
            hint = "; is a `return` missing?" if value is None else ""
            raise TypeError(f"{name}() returned what its WIT does not allow: {error}{hint}") from None

    return checked


def _ending(error: Exception, says: Optional[str], types: Any) -> Exception:
    """What the component gives back for an exception; itself where the function's type has no room for it."""
    if says not in ("error", "string"):
        return error
    if isinstance(error, Err):
        if isinstance(error.value, str if says == "string" else _cases(types)):
            return error
        error = _refusal(error)
    if not isinstance(error, (Ending, Failure)):
        _tell(error)
    if says == "error":
        return Err(_error(error, types))
    if isinstance(error, (Ending, Failure)):
        return Err(message_of(error))
    return Err(f"{kind_of(error)}: {message_of(error)}")


def _cases(types: Any) -> tuple[type, ...]:
    return (types.Error_Failed, types.Error_Retry, types.Error_Reject, types.Error_Ignore)


def _refusal(error: Err) -> Exception:
    """The error that an import of the author's own gave, which no task can give back as it is."""
    refused = error.value
    said = getattr(refused, "value", None)
    case = type(refused).__name__.rpartition("_")[2]
    message = refused if isinstance(refused, str) else said if isinstance(said, str) else case
    return Failure(message).with_traceback(error.__traceback__)


def _tell(error: Exception) -> None:
    # The first two frames are this module's.
    where = error.__traceback__.tb_next if error.__traceback__ else None
    lines = traceback.format_exception(type(error), error, where)
    worker = _host.host()
    if getattr(worker, "logs", True):
        worker.log(3, "".join(lines).rstrip(), "")


def _error(error: Exception, types: Any) -> Any:
    if isinstance(error, Retry):
        cause = cause_of(error)
        failure = None if cause is None else _failure(cause, types)
        return types.Error_Retry(types.Retry(failure, milliseconds(error.after), error.max))
    if isinstance(error, Reject):
        return types.Error_Reject(error.requeue)
    if isinstance(error, Ignore):
        return types.Error_Ignore()
    return types.Error_Failed(_failure(error, types))


def _failure(error: BaseException, types: Any) -> Any:
    try:
        data = data_of(error)
        data = None if data is None else dumps(data)
    except (TypeError, ValueError):
        data = None
    return types.Failure(kind_of(error), message_of(error), data)
