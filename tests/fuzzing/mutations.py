"""Changes of a file: of its bytes, or of what its format is made of."""

from collections.abc import Callable
import json
from typing import Any

from google.protobuf import descriptor
from google.protobuf.message import Message
import numpy as np

Rng = np.random.Generator
_NUMBERS = (
  0, 1, -1, 2, 3, 7, 127, 255, 256, 65_535, 10**6, 2**31 - 1, 2**31, -(2**31),
  2**32, 10**12, 2**62, 2**63 - 1, -(2**63),
)  # fmt: skip
_FLOATS = (0.0, -1.0, 0.5, 1e-38, 1e38, float('inf'), float('nan'))
_MAX_NESTING = 200


def one_of(rng: Rng, values: Any) -> Any:
  return values[int(rng.integers(len(values)))]


def of_bytes(content: bytes, rng: Rng) -> bytes:
  """Returns the bytes with one to eight changes of any kind; one is usual."""
  data = bytearray(content)
  for _ in range(min(int(rng.geometric(0.5)), 8)):
    if not data:
      break
    place = int(rng.integers(len(data)))
    length = int(min(2 ** rng.integers(0, 8), len(data) - place))
    kind = int(rng.integers(7))
    if kind == 0:
      data[place] ^= 1 << int(rng.integers(8))
    elif kind == 1:
      data[place] = int(rng.integers(256))
    elif kind == 2:
      number = int(one_of(rng, _NUMBERS)) % 2**64
      width = one_of(rng, (2, 4, 8))
      data[place : place + width] = number.to_bytes(8, 'little')[:width]
    elif kind == 3:
      del data[place : place + length]
    elif kind == 4:
      data[place:place] = data[place : place + length]
    elif kind == 5:
      other = int(rng.integers(len(data)))
      data[place : place + length] = data[other : other + length]
    elif rng.random() < 0.3:
      del data[place:]
  return bytes(data)


def of_json(value: Any, rng: Rng) -> Any:
  """Changes a value of JSON at one to four places; returns it."""
  for _ in range(min(int(rng.geometric(0.5)), 4)):
    places = list(_places(value))
    if not places:
      break
    holder, key = one_of(rng, places)
    kind = int(rng.integers(6))
    if kind == 0:
      del holder[key]
    elif kind == 1:
      holder[key] = one_of(rng, _strange())
    elif kind == 2:
      holder[key] = int(one_of(rng, _NUMBERS))
    elif kind == 3:
      other, name = one_of(rng, places)
      if _has(other, name):  # A copy: what holds itself is no JSON.
        holder[key] = json.loads(json.dumps(other[name]))
    elif kind == 4 and isinstance(holder, list):
      holder.append(json.loads(json.dumps(holder[key])))
    elif isinstance(holder[key], str):
      holder[key] = of_text(holder[key], rng)
  return value


def _has(holder: Any, key: Any) -> bool:
  return key in holder if isinstance(holder, dict) else key < len(holder)


def _strange() -> list[Any]:
  nested: Any = []
  for _ in range(_MAX_NESTING):
    nested = [nested]
  return [
    None, True, 1.5, -0.0, '', '\ud800', '\0', '../x', '/dev/zero', 'x' * 9999,
    [], {}, [[]], [None], {'a': None}, '²', nested,
  ]  # fmt: skip


def _places(value: Any):
  """Yields each place of a value of JSON, as what holds it and its key."""
  stack = [value]
  while stack:
    holder = stack.pop()
    if isinstance(holder, dict):
      pairs = list(holder.items())
    elif isinstance(holder, list):
      pairs = list(enumerate(holder[:200]))
    else:
      continue
    for key, inner in pairs:
      yield holder, key
      stack.append(inner)


def of_text(text: str, rng: Rng) -> str:
  changed = of_bytes(text.encode('utf-8', 'replace'), rng)
  return changed.decode('utf-8', 'replace')


def of_message(message: Message, rng: Rng) -> None:
  """Changes a message of protocol buffers at one to four places."""
  for _ in range(min(int(rng.geometric(0.5)), 4)):
    target = _inner(message, rng)
    fields = target.ListFields()
    if not target.DESCRIPTOR.fields:
      continue  # A message that says all by being there.
    if not fields or rng.random() < 0.1:
      _set(target, one_of(rng, target.DESCRIPTOR.fields), rng)
      continue
    field, value = one_of(rng, fields)
    kind = int(rng.integers(4))
    if kind == 0:
      target.ClearField(field.name)
    elif kind == 1 and _is_list(field) and len(value):
      place = int(rng.integers(len(value)))
      if rng.random() < 0.5:
        del value[place]
      elif field.message_type:
        value.add().CopyFrom(value[place])
      else:
        value.append(value[place])
    else:
      _set(target, field, rng)


def _is_list(field: descriptor.FieldDescriptor) -> bool:
  return field.is_repeated and not _is_map(field)


def _is_map(field: descriptor.FieldDescriptor) -> bool:
  kind = field.message_type
  return bool(kind and kind.GetOptions().map_entry)


def _inner(message: Message, rng: Rng) -> Message:
  """Returns a message within a message, at any depth."""
  while rng.random() < 0.85:
    inner = []
    for field, value in message.ListFields():
      if not field.message_type:
        continue
      if _is_map(field):
        if field.message_type.fields_by_name['value'].message_type:
          inner += [value[key] for key in value]
      else:
        inner += list(value) if field.is_repeated else [value]
    if not inner:
      break
    message = one_of(rng, inner)
  return message


def _set(target: Message, field: descriptor.FieldDescriptor, rng: Rng) -> None:
  """Sets a field to something that is strange, but of its type."""
  if _is_map(field):
    return
  if field.message_type:
    if not field.is_repeated:
      getattr(target, field.name).SetInParent()
    return
  value = _value(getattr(target, field.name), field, rng)
  try:
    if field.is_repeated:
      getattr(target, field.name).append(value)
    else:
      setattr(target, field.name, value)
  except (ValueError, TypeError):  # Out of the range of its type.
    pass


def _value(old: Any, field: descriptor.FieldDescriptor, rng: Rng) -> Any:
  kinds = descriptor.FieldDescriptor
  if field.cpp_type == kinds.CPPTYPE_STRING:
    is_text = field.type == kinds.TYPE_STRING
    old = old if isinstance(old, str | bytes) else b''
    old = old.encode('utf-8', 'replace') if isinstance(old, str) else old
    new = one_of(
      rng, (of_bytes(old, rng), b'', b'x' * 300, b'Relu', b':1', b'^')
    )
    return new.decode('utf-8', 'replace') if is_text else new
  if field.cpp_type in (kinds.CPPTYPE_FLOAT, kinds.CPPTYPE_DOUBLE):
    return float(one_of(rng, _FLOATS))
  if field.cpp_type == kinds.CPPTYPE_BOOL:
    return bool(rng.integers(2))
  if field.cpp_type == kinds.CPPTYPE_ENUM:
    return int(rng.integers(0, 130))
  return int(one_of(rng, _NUMBERS))


def parsed(parse: Callable[[bytes], Message]) -> Callable[[bytes, Rng], bytes]:
  """Returns a change of a file that is a message of protocol buffers."""

  def change(content: bytes, rng: Rng) -> bytes:
    message = parse(content)
    of_message(message, rng)
    return message.SerializeToString()

  return change


def json_text(content: bytes, rng: Rng) -> bytes:
  """Changes a file of JSON."""
  value = of_json(json.loads(content), rng)
  return json.dumps(value).encode('utf-8', 'surrogatepass')
