"""JSON forms made into messages, as fast as Python can: thousands of routes are converted whenever gnomon starts.

``json_format.ParseDict`` asks each value again what kind of field it is for; here that is asked once a message type.
Only what resources are made of is known here. Whatever is not, or is wrong, is an ``OddFormError``, and ParseDict
then converts it or says what is wrong with it: there is one judge of forms, and this is its short cut.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration

from router.gateways.envoy.fixed import Fixed

_Type = descriptor_pb2.FieldDescriptorProto.Type
_NUMBERS = frozenset({
    _Type.TYPE_DOUBLE, _Type.TYPE_FLOAT, _Type.TYPE_INT64, _Type.TYPE_UINT64, _Type.TYPE_INT32, _Type.TYPE_UINT32,
    _Type.TYPE_FIXED32, _Type.TYPE_FIXED64, _Type.TYPE_SINT32, _Type.TYPE_SINT64,
})  # fmt: skip
_WRAPPED = ("Bool", "Double", "Float", "Int32", "Int64", "String", "UInt32", "UInt64")
_WRAPPERS = frozenset(f"google.protobuf.{name}Value" for name in _WRAPPED)

Fill = Callable[[Any, Any], None]
"""Puts a value into a message: of a field of it, or of all that it says."""


class OddFormError(Exception):
    """A form that is not known here. It is no error yet."""


class Forms:
    """What is known of the fields of message types. ``make`` makes an empty message by its full name."""

    def __init__(self, make: Callable[[str], Any]) -> None:
        """Nothing is known before it is asked for."""
        self._make = make
        self._fills: dict[str, Fill] = {}
        # Kept, since a method is another object each time it is asked for, and fixed forms remember who made them.
        self._said: Fill = self._pack

    def fill(self, message: Any, form: object) -> None:
        """Put what a form says into an empty message. Raises OddFormError; the message is then of no use."""
        self._filling(message.DESCRIPTOR)(message, form)

    def _filling(self, kind: Descriptor) -> Fill:
        """What puts a form into a message of one type. Its fields are looked at with the first one: types nest."""
        made = self._fills.get(kind.full_name)
        if made is not None:
            return made
        known: dict[str, tuple[str | None, Fill]] = {}

        def say(message: Any, form: Any) -> None:
            if type(form) is Fixed:
                _repeat(say, message, form)
                return
            if type(form) is not dict and not isinstance(form, Mapping):
                raise OddFormError
            if not known:
                known.update({field.name: (_choice(field), self._putting(field)) for field in kind.fields})
            chosen: set[str] | None = None
            for name, value in form.items():
                choice, put = known.get(name, _ODD)
                if choice is not None:
                    chosen = set() if chosen is None else chosen
                    if choice in chosen:
                        raise OddFormError
                    chosen.add(choice)
                put(message, value)

        self._fills[kind.full_name] = say
        return say

    def _putting(self, field: FieldDescriptor) -> Fill:
        """What puts a value into one field."""
        inner = field.message_type
        if inner is not None and inner.GetOptions().map_entry:
            return self._mapping(field.name, inner.fields_by_name["value"])
        if inner is not None:
            return self._of_message(field.name, self._saying(inner), repeated=field.is_repeated)
        check = _scalar(field)
        return partial(_add_scalars if field.is_repeated else _set_scalar, field.name, check)

    def _saying(self, kind: Descriptor) -> Fill:
        """What puts all that a form says into a message of one type."""
        name = kind.full_name
        if name in _WRAPPERS:
            return partial(_set_scalar, "value", _scalar(kind.fields_by_name["value"]))
        special: dict[str, Fill] = {
            "google.protobuf.Any": self._said, "google.protobuf.Duration": _duration, "google.protobuf.Struct": _struct,
        }  # fmt: skip
        if name in special:
            return special[name]
        # Every other well-known type has a form of its own.
        return _odd if name.startswith("google.protobuf.") and name != "google.protobuf.Empty" else self._filling(kind)

    @staticmethod
    def _of_message(name: str, say: Fill, *, repeated: bool) -> Fill:
        def one(message: Any, value: object) -> None:
            if value is None:
                raise OddFormError
            inside = getattr(message, name)
            inside.SetInParent()
            say(inside, value)

        def many(message: Any, values: object) -> None:
            if not isinstance(values, list | tuple):
                raise OddFormError
            inside = getattr(message, name)
            for value in values:
                say(inside.add(), value)

        return many if repeated else one

    def _mapping(self, name: str, values: FieldDescriptor) -> Fill:
        say = self._saying(values.message_type) if values.message_type is not None else None
        check = None if say else _scalar(values)

        def put(message: Any, form: object) -> None:
            if not isinstance(form, Mapping):
                raise OddFormError
            inside = getattr(message, name)
            for key, value in form.items():
                if not isinstance(key, str):
                    raise OddFormError
                if check is not None:
                    inside[key] = check(value)
                elif say is not None:
                    inside[key].SetInParent()
                    say(inside[key], value)

        return put

    def _pack(self, message: Any, form: object) -> None:
        if type(form) is Fixed:
            _repeat(self._said, message, form)
            return
        if not isinstance(form, Mapping) or (form and not isinstance(form.get("@type"), str)):
            raise OddFormError
        if not form:
            return
        name = form["@type"].rpartition("/")[2]
        if name.startswith("google.protobuf."):
            raise OddFormError
        inside = self._make(name)
        self.fill(inside, {key: value for key, value in form.items() if key != "@type"})
        message.type_url, message.value = form["@type"], inside.SerializeToString(deterministic=True)


def _repeat(say: Fill, message: Any, form: Fixed) -> None:
    """Put what a fixed form says into an empty message: by its parts the first time, after that as a whole."""
    if form.by is say:
        message.MergeFromString(form.said)
        return
    say(message, dict(form))
    form.by, form.said = say, message.SerializeToString(deterministic=True)


def _odd(_message: Any, _value: object) -> None:
    raise OddFormError


_ODD: tuple[str | None, Fill] = (None, _odd)


def _choice(field: FieldDescriptor) -> str | None:
    """The group of fields of which a message has one at most; None for a field that is in none."""
    return field.containing_oneof.full_name if field.containing_oneof is not None else None


def _scalar(field: FieldDescriptor) -> Callable[[Any], Any]:
    """What gives a value as its field takes it. It raises OddFormError for one of another type."""
    if field.type in _NUMBERS:
        return _number
    if field.type == _Type.TYPE_BOOL:
        return partial(_is, bool)
    if field.type == _Type.TYPE_STRING:
        return partial(_is, str)
    return partial(_enum, field.enum_type) if field.enum_type is not None else partial(_is, ())


def _number(value: Any) -> Any:
    if type(value) is int or type(value) is float:
        return value
    raise OddFormError


def _is(kind: Any, value: Any) -> Any:
    if isinstance(value, kind):
        return value
    raise OddFormError


def _enum(kind: EnumDescriptor, value: Any) -> int:
    found = kind.values_by_name.get(value) if isinstance(value, str) else None
    if found is None:
        raise OddFormError
    return int(found.number)


def _set_scalar(name: str, check: Callable[[Any], Any], message: Any, value: object) -> None:
    try:
        setattr(message, name, check(value))
    except (TypeError, ValueError) as error:
        raise OddFormError from error


def _add_scalars(name: str, check: Callable[[Any], Any], message: Any, values: object) -> None:
    if not isinstance(values, list | tuple):
        raise OddFormError
    try:
        getattr(message, name).extend([check(value) for value in values])
    except (TypeError, ValueError) as error:
        raise OddFormError from error


def _duration(message: Any, value: object) -> None:
    if not isinstance(value, str):
        raise OddFormError
    message.seconds, message.nanos = _parts(value)


@lru_cache(maxsize=4096)
def _parts(text: str) -> tuple[int, int]:
    parsed = Duration()
    try:
        parsed.FromJsonString(text)
    except ValueError as error:
        raise OddFormError from error
    return parsed.seconds, parsed.nanos


def _struct(message: Any, form: object) -> None:
    if not isinstance(form, Mapping):
        raise OddFormError
    for key, value in form.items():
        put = message.fields[key]
        if isinstance(value, bool):
            put.bool_value = value
        elif isinstance(value, str):
            put.string_value = value
        elif isinstance(value, int | float):
            put.number_value = value
        elif isinstance(value, Mapping):
            put.struct_value.SetInParent()
            _struct(put.struct_value, value)
        else:
            raise OddFormError
